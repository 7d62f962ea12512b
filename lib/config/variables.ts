import * as z from 'zod'
import { outward } from './outward.ts'
import {
  conditions,
  directHost,
  folder,
  keep,
  limit,
  list,
  machineArn,
  name,
  positive,
  schemas,
  signingKeys,
  tokens,
  webAddress,
} from './values.ts'

export type Variable = { schema: z.ZodType; is: string; example: string }

/** Every variable: its schema, what it should be (one sentence, also the line in `.env.example`), and an example. */
export const variables = {
  ENVIRONMENT: {
    schema: z
      .string()
      .regex(/^[a-z0-9][a-z0-9-]{0,38}$/, 'may hold only a-z, 0-9 and "-", at most 39 characters'),
    is: "the environment's name, which callers repeat in `confirm`",
    example: 'staging',
  },
  PROTECTED: {
    schema: z.stringbool().optional(),
    is: 'true forbids every wipe here; default: true when ENVIRONMENT begins with "prod"',
    example: 'false',
  },
  DATABASE_URL: {
    schema: directHost,
    is: 'the direct (not pooled) connection string of a role that owns the tables',
    example: 'postgresql://app:secret@ep-cool-1.eu-central-1.aws.neon.tech/taskmaster?sslmode=require',
  },
  DATABASE_WEBSOCKET_PROXY: {
    schema: name.optional(),
    is: "host:port of a WebSocket proxy, for a Postgres that is not Neon's",
    example: '127.0.0.1:5488',
  },
  DATABASE_SCHEMAS: {
    schema: schemas.prefault('public'),
    is: 'the schemas whose tables are managed',
    example: 'public,story',
  },
  EXCLUDE_TABLES: {
    schema: list.prefault(''),
    is: 'tables that are neither backed up nor wiped',
    example: 'spatial_ref_sys',
  },
  PRESERVE_TABLES: {
    schema: list.prefault(''),
    is: 'tables that are backed up and never wiped',
    example: 'users,public.plans',
  },
  PRESERVE_ROWS: {
    schema: conditions.prefault('{}'),
    is: 'rows that are never wiped: a JSON object of table and SQL condition',
    example: '{"public.users":"role = \'admin\'"}',
  },
  FILES_BUCKET: { schema: name, is: 'the S3 bucket of the generated files', example: 'taskmaster-files' },
  FILES_PREFIX: {
    schema: folder.prefault('generated_stories/'),
    is: 'the folder of the generated files; ends in "/"',
    example: 'generated_stories/',
  },
  PRESERVE_FILES: {
    schema: list.prefault(''),
    is: 'prefixes below FILES_PREFIX that are never wiped',
    example: 'pinned/',
  },
  BACKUP_BUCKET: { schema: name, is: 'the S3 bucket of the backups', example: 'taskmaster-backups' },
  BACKUP_PREFIX: {
    schema: folder.prefault('.taskmaster/backups/'),
    is: 'the folder of the backups; ends in "/"',
    example: '.taskmaster/backups/',
  },
  SIGNING_KEYS: {
    schema: signingKeys,
    is: 'the keys that sign backups and the work of runs, the first signs and all verify: [{"id":"2026-11","secret":"…"}], where `openssl rand -base64 32` makes a secret',
    example: 'ssm:/taskmaster/signing-keys',
  },
  UPSTASH_REDIS_REST_URL: {
    schema: webAddress,
    is: 'the REST address of the cache',
    example: 'https://eu1-cool-1.upstash.io',
  },
  UPSTASH_REDIS_REST_TOKEN: {
    schema: name,
    is: 'the token of the cache, with write access',
    example: 'ssm:/taskmaster/upstash-token',
  },
  CACHE_PREFIX: {
    schema: name,
    is: 'the prefix of the keys that are managed; "*" says the whole database',
    example: 'taskmaster:',
  },
  PRESERVE_KEYS: {
    schema: list.prefault(''),
    is: 'key patterns (glob) that are never wiped',
    example: 'session:*',
  },
  EXPORT_BATCH_BYTES: {
    schema: positive.prefault(String(8 * 2 ** 30)),
    is: 'how many bytes of tables one export invocation takes; below it the backup is one snapshot',
    example: '8589934592',
  },
  LATE_MAX_BYTES: {
    schema: positive.prefault(String(256 * 2 ** 20)),
    is: "how many bytes may be exported again under the wipe's lock",
    example: '268435456',
  },
  REHEARSE_MAX_BYTES: {
    schema: positive.prefault(String(2 ** 30)),
    is: 'up to which size of the whole database `rehearse: "auto"` rehearses, however little of it is loaded',
    example: '1073741824',
  },
  REHEARSE_WITHIN_DAYS: {
    schema: positive.prefault('7'),
    is: 'within how many days a rehearsal loads each part again that backups take over from one another',
    example: '7',
  },
  LOCK_TIMEOUT_MS: {
    schema: positive.prefault('30000'),
    is: 'how long a step tries to get its locks before it gives way, in milliseconds',
    example: '30000',
  },
  LOCK_BUDGET_MS: {
    schema: positive.prefault('600000'),
    is: 'how long a wipe or a restore may keep its tables locked before it gives way, in milliseconds',
    example: '600000',
  },
  MAX_ROWS: { schema: limit, is: 'a reset that would wipe more rows is refused', example: '5000000' },
  MAX_OBJECTS: { schema: limit, is: 'a reset that would wipe more files is refused', example: '100000' },
  MAX_KEYS: { schema: limit, is: 'a reset that would wipe more cache keys is refused', example: '1000000' },
  RETENTION_LAST: {
    schema: keep,
    is: 'how many of the newest backups prune keeps; unset: none is pruned by number',
    example: '7',
  },
  RETENTION_DAILY: {
    schema: keep,
    is: 'for how many days prune keeps the newest backup of the day',
    example: '14',
  },
  RETENTION_WEEKLY: {
    schema: keep,
    is: 'for how many weeks prune keeps the newest backup of the week',
    example: '8',
  },
  STATE_MACHINE_ARN: {
    schema: machineArn.optional(),
    is: 'the state machine, for what starts, cancels or follows runs',
    example: 'arn:aws:states:eu-central-1:123456789012:stateMachine:taskmaster-reset-staging',
  },
  API_TOKENS: {
    schema: tokens.prefault('[]'),
    is: 'who may use the HTTP API: a JSON array of name, sha256, scopes and, where wanted, expiresAt; `npm run -s cli -- token` makes one',
    example:
      '[{"name":"ci","sha256":"54f706325b9b2238419854225777f7f2ab2503db36fadda9baaa7e8903edb878","scopes":["read","reset"]}]',
  },
  ...outward,
  AWS_ENDPOINT_URL_S3: {
    schema: webAddress.optional(),
    is: "an S3 endpoint that is not AWS's; keys are then addressed by path",
    example: 'http://127.0.0.1:4566',
  },
  LOG_LEVEL: {
    schema: z.enum(['DEBUG', 'INFO', 'WARN', 'ERROR', 'SILENT']).prefault('INFO'),
    is: 'the least level that is logged',
    example: 'INFO',
  },
} satisfies Record<string, Variable>

/** Marks, work lists and, unless configured otherwise, backups. */
export const ownFolder = '.taskmaster/'

export type Name = keyof typeof variables

/** The parsed configuration, keyed like the environment. */
export type Config = { [Key in Name]: z.output<(typeof variables)[Key]['schema']> } & {
  PROTECTED: boolean
  HOOKS_ON: boolean
}
