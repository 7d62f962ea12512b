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
import { isStorable } from '../postgres/storable.ts'
import { isText, nothing, preservable } from '../store/preserve.ts'
import { type Selection, selection, telling } from '../store/selection.ts'
import { targets } from '../store.ts'
import { strategies } from './strategy.ts'

/** A name or an id, such as the environment's. */
export const text = z.string().min(1).max(256).refine(isStorable, isText)

const common = {
  confirm: text
    .describe(
      "The environment's name, said again by the caller: what wipes, restores, deletes or claims wants it",
    )
    .optional(),
  idempotencyKey: text.optional(),
  requestedBy: text.optional(),
  /** Set by the schedule; stands in for the idempotency key. */
  scheduledTime: text.optional(),
}

/** How a backup is taken, also the one before a reset or a restore. */
const taking = {
  rehearse: z
    .union([z.boolean(), z.enum(['auto', 'all'])])
    .default('auto')
    .describe(
      'Load the backup and compare before it is sealed: what is new, and what was not proved for long; `auto`: when the whole database is smaller than REHEARSE_MAX_BYTES, however little of it is loaded; `all`: every row, also what was taken over',
    ),
  /** Without a default: the digest of a request that does not say it must stay what it was. */
  takeOver: z
    .boolean()
    .optional()
    .describe(
      'Copy from an earlier backup what has not changed since, which is done unless said otherwise; `false`: export everything',
    ),
  dryRun: z.boolean().default(false).describe('Plan, and compare with what a restore would change'),
}

const believed = {
  allowUnsigned: z
    .boolean()
    .optional()
    .describe('For a backup that nobody known here signed: whoever can write to the bucket may have made it'),
}

const scope = {
  ...taking,
  preserve: z
    .strictObject(preservable)
    .default(nothing)
    .describe('What stays, besides what the configuration preserves. It is backed up all the same'),
}

const Backup = z.strictObject({
  operation: z.literal('backup'),
  strategy: z.enum(strategies).default('full').describe('What is backed up'),
  ...scope,
  ...common,
})

const Reset = z.strictObject({
  operation: z.literal('reset'),
  strategy: z.enum(strategies).describe('What is wiped'),
  backup: z.boolean().default(true).describe('`false` must be said: what is wiped then cannot come back'),
  ...scope,
  ...common,
})

const Restore = z.strictObject({
  operation: z.literal('restore'),
  backupId: text,
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
  ...selection,
  ...taking,
  ...common,
})

/** Reads every object of a backup and compares; nothing is changed. */
const Verify = z.strictObject({
  operation: z.literal('verify'),
  backupId: text,
  rehearse: z.boolean().default(false).describe('Load it into a scratch schema, and compare every row'),
  allowForeign: z.boolean().optional().describe('For a backup of another environment'),
  ...believed,
  ...common,
})

/** What became of the stores since a backup, or from one to another; nothing is changed. */
const Diff = z.strictObject({
  operation: z.literal('diff'),
  backupId: text,
  to: text.optional().describe('Another backup, which it is compared with in place of what is there now'),
  ...telling,
  allowForeign: z.boolean().optional().describe('For a backup of another environment'),
  ...believed,
  ...common,
})

const Delete = z.strictObject({ operation: z.literal('delete'), backupId: text, ...common })

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
} satisfies Record<OperationName, z.ZodType>

/** What a caller asks for; the same for the HTTP API, the schedule, the console and the CLI. */
export const Request = z.discriminatedUnion('operation', Object.values(requests) as [AnyOf, ...AnyOf[]])
export type Request = z.output<typeof Request>
type AnyOf = (typeof requests)[OperationName]

/** A request that acts on the stores, by a plan. */
export type Scoped = Extract<Request, { operation: StoreOperation }>
/** A request that acts on one backup, and on no store. */
export type OnBackup = Extract<Request, { operation: BackupOperation }>

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

/** What no field says by itself: a list that would be ignored is a mistake, of the list or of the targets. */
function consistent(request: Request): Request {
  if (request.operation !== 'restore') return request
  if (request.targets === undefined || request.targets.includes('database')) return request
  const ignored = (Object.keys(selection) as (keyof Selection)[]).find((field) => request[field]?.length)
  if (ignored === undefined) return request
  throw new InvalidRequest(
    `The request is wrong: ${ignored}: names tables or sequences, and "targets" leaves out the database, so none are put back. Take "${ignored}" out, or add "database" to "targets"`,
  )
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
  return `schedule ${scheduledTime} ${operation} ${'strategy' in request ? request.strategy : ''}`.trimEnd()
}
