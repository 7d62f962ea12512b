import { messageOfPostgres } from './postgres-message.ts'

/**
 * Who has to act on an error: `request` (correct what was sent or configured), `guard` (a rule refused it, nothing
 * was touched), `busy` (another run is active), `failure` (a store or a check failed). The CLI's exit code follows it.
 */
export type ErrorKind = 'request' | 'guard' | 'busy' | 'failure'

/** Base of every error that a state can end with. Lambda reports `name`, and `ErrorEquals` in the state machine matches it. */
export abstract class ResetError extends Error {
  abstract override readonly name: string
  abstract readonly kind: ErrorKind
}

const kinds = new Map<string, ErrorKind>()

/** The kind of each error by the name under which Step Functions reports it; an unknown name is a `failure`. */
export const errorKinds: ReadonlyMap<string, ErrorKind> = kinds

function named<Name extends string, Kind extends ErrorKind>(name: Name, kind: Kind) {
  kinds.set(name, kind)
  return class extends ResetError {
    override readonly name = name
    readonly kind = kind
  }
}

/** The request does not fit the schema, names something that does not exist, or is not JSON. */
export class InvalidRequest extends named('InvalidRequest', 'request') {}

/** An environment variable is missing or wrong; the message names it, what it should be, and an example. */
export class InvalidConfiguration extends named('InvalidConfiguration', 'request') {}

/** The idempotency key was used before, for a request that said something else. */
export class IdempotencyConflict extends named('IdempotencyConflict', 'request') {}

/** `confirm` is missing or is not the name of the configured environment. */
export class ConfirmationMismatch extends named('ConfirmationMismatch', 'guard') {}

/** One of the stores does not carry the environment's name: `claim` was never run. */
export class EnvironmentUnclaimed extends named('EnvironmentUnclaimed', 'guard') {}

/** A store carries the name of another environment than the configured one. */
export class EnvironmentMismatch extends named('EnvironmentMismatch', 'guard') {}

/** The environment is marked as protected: nothing is wiped in it. */
export class EnvironmentProtected extends named('EnvironmentProtected', 'guard') {}

/** What is to be kept references, or would be changed by, what is to be wiped. */
export class PreservationConflict extends named('PreservationConflict', 'guard') {}

/**
 * The plan would wipe more than `MAX_ROWS`, `MAX_OBJECTS` or `MAX_KEYS` allow, or there is more than one transaction can lock or
 * one invocation do in time, or than a manifest can name.
 */
export class LimitExceeded extends named('LimitExceeded', 'guard') {}

/** The database role may not do what the plan needs (read, lock, truncate, own), or a bucket refuses a write. */
export class NotPermitted extends named('NotPermitted', 'guard') {}

/** Row security hides rows from the database role, so that a backup made by it would be short. */
export class RowsHidden extends named('RowsHidden', 'guard') {}

/** Another run holds the ledger's lock; `activeRunId` is its id, `until` when one that is closing is over at the latest. */
export class RunActive extends named('RunActive', 'busy') {
  readonly activeRunId: string
  readonly until: Date | null
  constructor(activeRunId: string, message: string, until: Date | null = null) {
    super(message)
    this.activeRunId = activeRunId
    this.until = until
  }
}

/**
 * The ledger's row is no longer this run's: it was taken over, cancelled or finished; or a later invocation of the same step
 * has begun. The step stops without acting.
 */
export class RunLost extends named('RunLost', 'failure') {}

/** An invocation stops by itself shortly before it is ended from outside; the step is repeated and goes on. */
export class OutOfTime extends named('OutOfTime', 'failure') {}

/** A reset has ended, but the store refused to let go of some of what was to be wiped; the message says how much. */
export class WipeIncomplete extends named('WipeIncomplete', 'failure') {}

/** A restore has ended, but the store refused some of what was to be put back; the message says how much. */
export class RestoreIncomplete extends named('RestoreIncomplete', 'failure') {}

/** A store cannot be reached, or does not exist. */
export class StoreUnavailable extends named('StoreUnavailable', 'failure') {}

/** An S3 server listed a key twice, in no order or from elsewhere, or a listing never ends; the message names server and keys. */
export class ListingUnreliable extends named('ListingUnreliable', 'failure') {}

/** The folder of the backup that a run is to write is not empty: another run that began in the same second has its id. */
export class BackupIdTaken extends named('BackupIdTaken', 'failure') {}

/** A row cannot be read, a step's result is missing, or its totals do not agree; the backup is not sealed. */
export class BackupIncomplete extends named('BackupIncomplete', 'failure') {}

/** What was read back from the backup is not what was written. */
export class ReadBackMismatch extends named('ReadBackMismatch', 'failure') {}

/** A part of a backup is not what its manifest says; the message names the object. */
export class BackupDamaged extends named('BackupDamaged', 'failure') {}

/** The plan, a work list or a result of a run is not what a step of this environment wrote: edited, swapped or put there. */
export class WorkDamaged extends named('WorkDamaged', 'failure') {}

/** A document would become larger than what reads it takes, so it was not written. */
export class TooLargeToRead extends named('TooLargeToRead', 'failure') {}

/** Nobody known here signed the backup, and the request did not say that it may be believed. */
export class BackupUnsigned extends named('BackupUnsigned', 'guard') {}

/** The backup does not hold what a comparison with it needs; the message says what, and what to do. */
export class NotComparable extends named('NotComparable', 'request') {}

/** No backup is called what the request calls it: no id begins so, no label is that, or none was rehearsed. */
export class UnknownBackup extends named('UnknownBackup', 'request') {}

/** The ids of several backups begin with what the request says; the message names some. */
export class AmbiguousBackup extends named('AmbiguousBackup', 'request') {}

/** A label or a note cannot be given to the backup: it is another environment's, not signed, or being pruned, or there are too many. */
export class LabelRefused extends named('LabelRefused', 'guard') {}

/** What the request calls a backup means another one by now than whoever confirmed it was shown. */
export class LabelMoved extends named('LabelMoved', 'guard') {}

/** Rows that are to be put back point to rows that neither the selection nor the tables that stay have. */
export class ParentsMissing extends named('ParentsMissing', 'guard') {}

/** Tables that were to be made are there already. */
export class NotEmpty extends named('NotEmpty', 'guard') {}

/** A hook did not answer that it did what it was called for. */
export class HookFailed extends named('HookFailed', 'failure') {}

/** A hook or a notice lies at an address that may not be called. */
export class HookRefused extends named('HookRefused', 'guard') {}

/** The backup was made by a newer version of this tool, which writes another format. */
export class BackupTooNew extends named('BackupTooNew', 'request') {}

/** A prune has begun to delete the backup. */
export class BackupBeingPruned extends named('BackupBeingPruned', 'busy') {}

/** The backup may not be deleted: it is pinned, the newest, the newest rehearsed one, or in use; the message says which. */
export class BackupKept extends named('BackupKept', 'guard') {}

/** The run has begun to wipe, restore or delete: stopping it now could leave a store half changed. */
export class TooLateToCancel extends named('TooLateToCancel', 'guard') {}

/** The run that is to be cancelled is over. */
export class RunEnded extends named('RunEnded', 'guard') {}

/** The run that is to be cancelled was accepted a moment ago, and is not in the ledger yet. */
export class RunStarting extends named('RunStarting', 'guard') {}

/** A backup was loaded, and its rows are not those that were backed up. */
export class RehearsalFailed extends named('RehearsalFailed', 'failure') {}

/** The live tables are no longer those of the backup; the message lists what differs. */
export class SchemaChanged extends named('SchemaChanged', 'guard') {}

/** The backup is of another environment. */
export class ForeignBackup extends named('ForeignBackup', 'guard') {}

/** More was written to the database since the backup than may be exported again under the wipe's lock. */
export class BackupIsStale extends named('BackupIsStale', 'failure') {}

/** A lock on a table was not granted in time, or held for as long as may be; the message says who holds it, or for how long. */
export class DatabaseBusy extends named('DatabaseBusy', 'failure') {}

/** The database has no room left: its disk, or what its plan allows. */
export class DatabaseFull extends named('DatabaseFull', 'failure') {}

/** The database server had too little memory for a statement. */
export class DatabaseOutOfMemory extends named('DatabaseOutOfMemory', 'failure') {}

/** Something a step relies on is not there: a plan, a work list, a run, an object of a backup. */
export class NotFound extends named('NotFound', 'failure') {}

/** The cache's plan allows no more requests, or its memory holds no more data. */
export class CacheQuotaExceeded extends named('CacheQuotaExceeded', 'failure') {}

/** A key or value is larger than the cache's plan takes in one request or record. */
export class CacheValueTooLarge extends named('CacheValueTooLarge', 'failure') {}

/** Keys of the application have names that are reserved for those that a run makes for a while. */
export class KeysReserved extends named('KeysReserved', 'guard') {}

/**
 * `error`'s message when it is an Error, else its text: for wrapping what a library threw. Of what Postgres reported only
 * what holds no values of rows: see postgres-message.ts.
 */
export function messageOf(error: unknown): string {
  const fields: { message?: unknown; cause?: unknown } =
    typeof error === 'object' && error !== null ? error : {}
  const ofPostgres = messageOfPostgres(error)
  if (ofPostgres !== undefined) return ofPostgres
  // drizzle's own message holds the statement and its values.
  if ('query' in fields && 'params' in fields && fields.cause !== undefined) return messageOf(fields.cause)
  if (typeof fields.message === 'string' && fields.message !== '') return fields.message
  return String(error)
}
