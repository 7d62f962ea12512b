import * as z from 'zod'
import { InvalidConfiguration, messageOf, StoreUnavailable } from './errors.ts'

const name = z.string().regex(/\S/, 'is empty')

/** Digits only: Number('') and Number(' ') are 0, and a limit of 0 is not what an empty line means. */
const wholeNumber = z
  .string()
  .regex(/^\d{1,15}$/, 'is not a whole number')
  .transform(Number)
const positive = wholeNumber.refine((number) => number > 0, 'must be above 0')
const limit = wholeNumber.optional()
const keep = positive.optional()

/**
 * A comma-separated list, or a JSON array of strings for names that hold commas. Nothing stands between two commas or
 * after the last: as a prefix, an empty item would match everything.
 */
const list = z.string().transform((text, context) => {
  const trimmed = text.trim()
  if (!trimmed.startsWith('[')) {
    return trimmed
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '')
  }
  const parsed = z.array(name).safeParse(parseJson(trimmed))
  if (parsed.success) return parsed.data
  context.addIssue({ code: 'custom', message: 'begins with "[" but is not a JSON array of strings' })
  return z.NEVER
})

const schemas = list
  .refine((names) => names.length > 0, 'names no schema, so that nothing would be managed')
  .refine(
    (names) =>
      !names.some((schema) =>
        /^(pg_|information_schema$|taskmaster_reset$|taskmaster_scratch_)/.test(schema),
      ),
    'names a schema of Postgres or of this tool, which is never managed',
  )

const conditions = z.string().transform((text, context) => {
  const parsed = z.record(name, name).safeParse(text.trim() === '' ? {} : parseJson(text))
  if (parsed.success) return parsed.data
  context.addIssue({ code: 'custom', message: 'is not a JSON object of table names and conditions' })
  return z.NEVER
})

const folder = name.refine(
  (text) => text.endsWith('/') && !text.startsWith('/'),
  'must end in "/" and not begin with it',
)

const directHost = z
  .string()
  .refine((text) => /^postgres(ql)?:\/\//.test(text) && URL.canParse(text), 'is not a postgres:// URL')
  .refine(
    (text) => !URL.canParse(text) || !/-pooler\./.test(new URL(text).hostname),
    'is the pooled host (-pooler): its sessions are shared between clients, so that session settings and exported snapshots leak or vanish; use the direct host',
  )

/** What a token of the HTTP API may be good for. */
export const scopes = ['read', 'backup', 'reset', 'restore', 'delete'] as const
export type Scope = (typeof scopes)[number]

const Token = z.strictObject({
  /** Stands in the ledger as who asked. */
  name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/),
  /** Of the token, in hexadecimal: the token itself is kept nowhere. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  scopes: z.array(z.enum(scopes)),
  /** From then on the token is good for nothing; left out: never. */
  expiresAt: z.iso.datetime({ offset: true }).optional(),
})
export type Token = z.output<typeof Token>

const tokens = z.string().transform((text, context) => {
  const parsed = z.array(Token).safeParse(parseJson(text))
  if (parsed.success && new Set(parsed.data.map(({ name }) => name)).size === parsed.data.length)
    return parsed.data
  const problem = parsed.success
    ? 'gives two tokens the same name'
    : `is not a JSON array of {"name", "sha256", "scopes"} and, where wanted, "expiresAt" (${parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'all of it'}: ${message}`).join('; ')})`
  context.addIssue({ code: 'custom', message: problem })
  return z.NEVER
})

const SigningKey = z.strictObject({
  id: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'may hold only A-Z, a-z, 0-9, ".", "_" and "-"'),
  secret: z.base64().transform((text) => Buffer.from(text, 'base64')),
})

/** Shorter ones could be guessed from what they signed. */
const signingKeyBytes = 32

const signingKeys = z.string().transform((text, context) => {
  const parsed = z.array(SigningKey).safeParse(parseJson(text))
  const problem = !parsed.success
    ? `is not a JSON array of {"id", "secret"} (${parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'all of it'}: ${message}`).join('; ')})`
    : parsed.data.length === 0
      ? 'holds no key'
      : new Set(parsed.data.map(({ id }) => id)).size < parsed.data.length
        ? 'gives two keys the same id'
        : parsed.data.some(({ secret }) => secret.length < signingKeyBytes)
          ? `holds a secret of fewer than ${signingKeyBytes} bytes`
          : null
  if (parsed.success && problem === null) return parsed.data
  context.addIssue({ code: 'custom', message: problem ?? '' })
  return z.NEVER
})

const machineArn = z
  .string()
  .regex(
    /^arn:[a-z-]+:states:[a-z0-9-]+:\d{12}:stateMachine:[A-Za-z0-9_-]{1,80}$/,
    'is not the ARN of a state machine',
  )

const webAddress = z.url({ protocol: /^https?$/, error: 'is not an http(s):// address' })

type Variable = { schema: z.ZodType; is: string; example: string }

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
    is: 'up to which database size `rehearse: "auto"` rehearses',
    example: '1073741824',
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

type Name = keyof typeof variables

/** The parsed configuration, keyed like the environment. */
export type Config = { [Key in Name]: z.output<(typeof variables)[Key]['schema']> } & { PROTECTED: boolean }

/**
 * Reads the process's environment. A value `ssm:/path` is replaced by what `fetchParameter` returns for `/path`.
 * @throws InvalidConfiguration naming every variable that is missing or wrong
 */
export async function readConfig(fetchParameter: (path: string) => Promise<string>): Promise<Config> {
  const given = await resolveParameters(process.env, fetchParameter)
  const parsed: Partial<Record<Name, unknown>> = {}
  const problems: string[] = []
  for (const [key, { schema, is, example }] of Object.entries(variables) as [Name, Variable][]) {
    const result = schema.safeParse(given[key])
    if (result.success) parsed[key] = result.data
    else {
      const found =
        given[key] === undefined ? 'is missing' : result.error.issues.map((issue) => issue.message).join('; ')
      problems.push(`${key} ${found}. It should be ${is}, for example ${example}`)
    }
  }
  if (problems.length > 0) throw new InvalidConfiguration(problems.join('\n'))
  const config = parsed as Config
  config.PROTECTED ??= config.ENVIRONMENT.startsWith('prod')
  refuseOverlap(config)
  return config
}

/** The variables as they are set, as one text: equal when nothing was changed. */
export function environmentOf(): string {
  return JSON.stringify(Object.keys(variables).map((key) => process.env[key]))
}

/**
 * The backups would otherwise be copied into the next backup, and wiped with the files; and what expires the work of
 * finished runs would take backups along. The environment's mark lies in the files bucket, in the same folder.
 */
function refuseOverlap(config: Config): void {
  const { FILES_BUCKET, FILES_PREFIX, BACKUP_BUCKET, BACKUP_PREFIX } = config
  const overlap = (one: string, other: string) => one.startsWith(other) || other.startsWith(one)
  const taken = FILES_BUCKET === BACKUP_BUCKET ? [ownFolder, BACKUP_PREFIX] : [ownFolder]
  for (const folder of taken) {
    if (!overlap(FILES_PREFIX, folder)) continue
    throw new InvalidConfiguration(
      `FILES_PREFIX ${FILES_PREFIX} and ${folder} overlap in bucket ${FILES_BUCKET}: what lies there would be copied and wiped as files. Give the files or the backups another prefix or bucket, for example FILES_PREFIX=${variables.FILES_PREFIX.example}`,
    )
  }
  if (!BACKUP_PREFIX.startsWith(`${ownFolder}runs/`)) return
  throw new InvalidConfiguration(
    `BACKUP_PREFIX ${BACKUP_PREFIX} is in the folder of the runs' work, which expires. Give the backups another one, for example BACKUP_PREFIX=${variables.BACKUP_PREFIX.example}`,
  )
}

async function resolveParameters(
  environment: NodeJS.ProcessEnv,
  fetchParameter: (path: string) => Promise<string>,
): Promise<NodeJS.ProcessEnv> {
  const resolved: NodeJS.ProcessEnv = {}
  for (const key of Object.keys(variables)) {
    const value = await resolveParameter(key, environment[key], fetchParameter)
    if (value !== undefined) resolved[key] = value
  }
  return resolved
}

async function resolveParameter(
  key: string,
  value: string | undefined,
  fetchParameter: (path: string) => Promise<string>,
): Promise<string | undefined> {
  // An empty value is how a shell or a template says "not set".
  if (!value?.startsWith('ssm:')) return value === '' ? undefined : value
  const path = value.slice('ssm:'.length)
  return fetchParameter(path).catch((cause: unknown) => {
    if (cause instanceof StoreUnavailable) throw cause
    const reason = `${key} names the SSM parameter ${path}, which could not be read: ${messageOf(cause)}`
    throw new InvalidConfiguration(`${reason}. Create it as a SecureString, or give the value itself`, {
      cause,
    })
  })
}

/**
 * API_TOKENS alone: the list changes while a function lives.
 * @throws InvalidConfiguration when it is wrong, or not there; what fetchParameter throws
 */
export async function readTokens(fetchParameter: (path: string) => Promise<string>): Promise<Token[]> {
  const value = await resolveParameter('API_TOKENS', process.env.API_TOKENS, fetchParameter)
  const parsed = variables.API_TOKENS.schema.safeParse(value)
  if (parsed.success) return parsed.data
  throw new InvalidConfiguration(
    `API_TOKENS ${parsed.error.issues.map(({ message }) => message).join('; ')}. It should be ${variables.API_TOKENS.is}`,
  )
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // not JSON; the schema around this says what was expected
  }
}
