import { createHash } from 'node:crypto'
import * as z from 'zod'
import { InvalidRequest } from '../errors.ts'
import {
  type BackupOperation,
  destroys,
  needsConfirm,
  type OperationName,
  operations,
  type StoreOperation,
} from '../operations.ts'
import { selection, telling } from '../store/selection.ts'
import { targets } from '../store.ts'
import { backupName, believed, common, naming, scope, taking, text, ttl } from './request/fields.ts'
import { contradictionIn } from './request/rules.ts'
import { strategies } from './strategy.ts'

const Backup = z.strictObject({
  operation: z.literal('backup'),
  strategy: z.enum(strategies).default('full').describe('What is backed up'),
  ...naming,
  ...scope,
  ...common,
})

const Reset = z.strictObject({
  operation: z.literal('reset'),
  strategy: z.enum(strategies).describe('What is wiped'),
  backup: z.boolean().default(true).describe('`false` must be said: what is wiped then cannot come back'),
  to: backupName
    .optional()
    .describe(
      'A backup that the stores become, exactly, in place of nothing. By its label it takes the scope reset; by an id, a prefix or `latest` also restore',
    ),
  toBackupId: text
    .optional()
    .describe(
      'With `to`: the id that it meant when this was confirmed; refused when it means another backup',
    ),
  ttl: ttl
    .optional()
    .describe(
      'With `to`: the time to live of its keys; `relative` unless said otherwise, what they had when it was taken',
    ),
  ...scope,
  ...common,
})

const Restore = z.strictObject({
  operation: z.literal('restore'),
  backupId: backupName,
  targets: z
    .array(z.enum(targets))
    .min(1)
    .optional()
    .describe('What is put back; left out: all that the backup holds'),
  safetyBackup: z
    .boolean()
    .default(true)
    .describe('`false` must be said: what is replaced then cannot come back'),
  allowForeign: z.boolean().default(false).describe('For a backup of another environment'),
  ...believed,
  /** @see docs/decisions.md#exact-is-off-by-default */
  exact: z.boolean().default(false).describe('Files and cache keys that are not in the backup are removed'),
  ttl: ttl
    .optional()
    .describe(
      'The time to live of its keys; `absolute` unless said otherwise: each ends when it would have ended',
    ),
  ...selection,
  ...taking,
  ...common,
})

/** Reads every object of a backup and compares; nothing is changed. */
const Verify = z.strictObject({
  operation: z.literal('verify'),
  backupId: backupName,
  rehearse: z.boolean().default(false).describe('Load it into a scratch schema, and compare every row'),
  allowForeign: z.boolean().optional().describe('For a backup of another environment'),
  ...believed,
  ...common,
})

/** What became of the stores since a backup, or from one to another; nothing is changed. */
const Diff = z.strictObject({
  operation: z.literal('diff'),
  backupId: backupName,
  to: backupName
    .optional()
    .describe('Another backup, which it is compared with in place of what is there now'),
  ...telling,
  allowForeign: z.boolean().optional().describe('For a backup of another environment'),
  ...believed,
  ...common,
})

const Delete = z.strictObject({ operation: z.literal('delete'), backupId: backupName, ...common })

const Claim = z.strictObject({ operation: z.literal('claim'), ...common })

/** The requests, each by the name of its operation. */
export const requests = {
  backup: Backup,
  reset: Reset,
  restore: Restore,
  verify: Verify,
  diff: Diff,
  delete: Delete,
  claim: Claim,
} satisfies Record<Exclude<OperationName, 'reset-to'>, z.ZodType>

/** What a caller asks for; the same for the HTTP API, the schedule, the console and the CLI. */
export const Request = z.discriminatedUnion('operation', Object.values(requests) as [AnyOf, ...AnyOf[]])
export type Request = z.output<typeof Request>
type AnyOf = (typeof requests)[keyof typeof requests]

/** A request that acts on the stores, by a plan. */
export type Scoped = Extract<Request, { operation: StoreOperation }>
/** A request that acts on one backup, and on no store. */
export type OnBackup = Extract<Request, { operation: BackupOperation }>

/** What the run of a request is called from there on: a reset that goes back to a backup replaces, and wipes nothing. */
export function operationOfRequest(request: Request): OperationName {
  return request.operation === 'reset' ? storeOperationOf(request) : request.operation
}

/** The same of one that acts on the stores. */
export function storeOperationOf(request: Scoped): StoreOperation {
  return request.operation === 'reset' && request.to !== undefined ? 'reset-to' : request.operation
}

export function isOnBackup(request: Request): request is OnBackup {
  return operations[request.operation].actsOn === 'backup'
}

/** Whether the request takes away what is there: from a store, or a backup. */
export function isDestructive(request: Request): boolean {
  return destroys(request.operation) && !isDry(request)
}

/** Whether the environment's name has to be said. */
export function wantsConfirm(request: Request): boolean {
  return needsConfirm(request.operation) && !isDry(request)
}

function isDry(request: Request): boolean {
  return 'dryRun' in request && request.dryRun
}

/** The largest request that is read, in bytes of JSON. */
const requestMaxBytes = 64 * 1024

const example = '{"operation":"reset","strategy":"full","confirm":"staging"}'

/** @throws InvalidRequest naming each wrong key and showing a right request */
export function parseRequest(input: unknown): Request {
  const size = Buffer.byteLength(JSON.stringify(input) ?? '')
  if (size > requestMaxBytes) {
    throw new InvalidRequest(
      `The request has ${size} bytes, more than the ${requestMaxBytes} that are read. A right request: ${example}`,
    )
  }
  const parsed = Request.safeParse(input)
  if (parsed.success) return consistent(parsed.data)
  const problems = parsed.error.issues.map(
    (issue) => `${issue.path.join('.') || 'request'}: ${issue.message}`,
  )
  throw new InvalidRequest(`The request is wrong: ${problems.join('; ')}. A right request: ${example}`)
}

/** A request that was accepted, maybe by rules of an earlier version; undefined when it cannot be read any more. */
export function readAccepted(input: unknown): Request | undefined {
  return Request.safeParse(input).data
}

/** What no field says by itself. @throws InvalidRequest */
function consistent(request: Request): Request {
  const problem = contradictionIn(request)
  if (problem === undefined) return request
  throw new InvalidRequest(`The request is wrong: ${problem}`)
}

/** Same request, same digest: what a repeated idempotency key is compared by. Who asked does not count. */
export function digestOfRequest(request: Request): string {
  const { requestedBy: _, ...said } = request
  const ordered = JSON.stringify(said, (_key, value: unknown) =>
    value !== null && typeof value === 'object' && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  )
  return createHash('sha256').update(ordered).digest('hex')
}

/** The key under which a repeated request is recognised. Two schedules may fire at the same time for different things. */
export function idempotencyKeyOf(request: Request): string | undefined {
  const { idempotencyKey, scheduledTime, operation } = request
  if (idempotencyKey !== undefined || scheduledTime === undefined) return idempotencyKey
  const of = 'strategy' in request ? ` ${request.strategy}` : ''
  const to = request.operation === 'reset' && request.to !== undefined ? ` to ${request.to}` : ''
  return `schedule ${scheduledTime} ${operation}${of}${to}`
}
