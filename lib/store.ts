import type { Warning } from './backup/manifest.ts'
import type { Backup } from './backup/read.ts'
import type { Clients } from './clients.ts'
import type { Config } from './config/variables.ts'
import type { PlannedRun } from './ledger/run-ref.ts'
import type { RunRow } from './ledger/runs.ts'
import { operationOf, type StoreOperation } from './operations.ts'
import type { Connection } from './postgres/connection.ts'
import type { Preserve } from './store/preserve.ts'
import type { Selection } from './store/selection.ts'

// What a run asks of every store, in the same words. Each question is a type of its own, so that a function carries only
// those parts of the stores that answer what it asks: stores.ts has the answers side by side, one list for each question.

/** The stores that a run acts on, in the order of its steps. */
export const targets = ['database', 'files', 'cache'] as const
export type Target = (typeof targets)[number]
/** How many they are, as a sentence says it. */
export const howMany = 'three'

/** An answer for each store. */
export function perStore<Answer>(answer: (target: Target) => Answer): Record<Target, Answer> {
  return Object.fromEntries(targets.map((target) => [target, answer(target)])) as Record<Target, Answer>
}

/** The environment's name, which each store carries so that no other environment's is wiped by mistake. */
export type Mark = {
  /** Where it stands, as a message says it: "The files (s3://…)". */
  where(config: Config): string
  /** The store alone, as a message says it. */
  store: string
  /** It may be gone without anybody's doing, and the store be down while a run does without it. Absent: neither. */
  isVolatile?: true
  /** Whether the store says that nothing may be wiped in its environment. Absent: it cannot say so. */
  isProtected?(connection: Connection): Promise<boolean>
} & (
  | { isTransactional?: never; read(clients: Clients, connection?: Connection): Promise<string | undefined> }
  | {
      /** It is read once more in the transaction that changes the store; without, right before. */
      isTransactional: true
      /** The name; undefined: the store carries none. @throws StoreUnavailable, NotPermitted when it cannot be asked */
      read(clients: Clients, connection: Connection): Promise<string | undefined>
    }
)

/** Writes the name; once more is fine. @throws EnvironmentMismatch when another environment's stands there */
export type MarkWriter = (clients: Clients, connection: Connection) => Promise<void>

/** All that is managed of a store, as a sentence says it: "the files below s3://…". */
export type Extent = (config: Config) => string

/** How much is looked at before an answer has to do with less than everything. */
export type Limits = {
  /** What a store may take for all of its answer; then it counts as down. */
  storeMs: number
  /** When counting ends with what is known by then. */
  countMs: number
  /** Bytes of tables that are counted; the others are estimated. */
  bytes: number
  objects: number
  keys: number
}

/**
 * What could be reset, with live counts, and the environment's name that the store carries; nothing is written.
 * @param asked.limits null: everything is counted exactly, however long that takes
 */
export type Look<Found> = (
  clients: Clients,
  asked: { preserve: Preserve; limits: Limits | null },
) => Promise<{ mark: string | undefined; found: Found }>

/** What Count asks of a store that the run acts on. */
export type Planning = {
  run: PlannedRun
  /** ISO 8601. */
  startedAt: string
  operation: StoreOperation
  /** What the run removes or replaces is backed up before, and has to be restorable. */
  takesBackup: boolean
  /** Nothing is written: no work lists, and nothing to try the store with. */
  dryRun: boolean
  /** `auto`: while the store is small enough; `all`: also what was taken over and proved lately. */
  rehearse: boolean | 'auto' | 'all'
  /** What has not changed since an earlier backup may be copied from it. */
  takeOver: boolean
  /** `files` from FILES_PREFIX on; `keys` are globs over whole keys. */
  preserve: Record<keyof Preserve, string[]> & { rows: Record<string, string>; excluded: string[] }
  /** The backup that is restored, whole; null: none is. */
  backup: Backup | null
  /** What of it is put back. */
  selection: Selection
  /** Aborts when the time of the invocation is nearly over. Absent: it has no end. */
  signal?: AbortSignal | undefined
}

/**
 * Counts what is there, tries what can be tried beforehand, and writes the work lists.
 * @returns `planned`, its section of the plan; `restore`, what a restore needs besides; `rehearse`: whether its part of the
 *   backup is loaded and compared before it is sealed, absent where a store can only be read back
 * @throws what refuses the run, each before anything is touched
 */
export type Planner<Planned, Restore> = (
  clients: Clients,
  connection: Connection,
  asked: Planning,
) => Promise<{ planned: Planned; restore: Restore | null; rehearse?: boolean; warnings: Warning[] }>

/** How much the plan wipes of a store, and how much a reset may; `name` is the variable that says so. */
export type Limit<Planned> = (
  planned: Planned,
  config: Config,
) => { name: string; limit: number | undefined; count: number; what: string }

/**
 * Its section of the manifest, of what the run's steps left.
 * @param asked `fence`: of what it writes into the backup; absent: nobody deletes the backup meanwhile
 * @returns `rehearsedAt`: when its parts had been loaded and compared; null: they were not; absent: they cannot be
 * @throws BackupIncomplete naming what is missing or does not agree
 */
export type Sealer<Planned, Held> = (
  clients: Clients,
  asked: {
    run: PlannedRun
    backupId: string
    planned: Planned
    rehearse: boolean
    fence?: { check(): Promise<void>; signal: AbortSignal | undefined }
  },
) => Promise<{ held: Held; rehearsedAt?: string | null; warnings: Warning[] }>

/**
 * What happened to a store: `untouched`; `backed_up` and otherwise untouched; `wiped`; `partly_wiped`, when the wipe
 * began and it is not known that it ended; `restored`, `partly_restored` likewise; `unknown`, when its turn had come and
 * what became of it could not be read.
 */
export const targetStates = [
  'untouched',
  'backed_up',
  'wiped',
  'partly_wiped',
  'restored',
  'partly_restored',
  'unknown',
] as const
export type TargetState = (typeof targetStates)[number]

/** What is known of a run that has ended, for one of its stores. */
export type Ending<Summary, Restore, Held> = {
  row: RunRow
  /** Its section of the ledger's summary of the plan, and of what a restore puts back; null: nothing is known of the plan. */
  summary: { planned: Summary | null; restore: Restore | null } | null
  /** The run acts on this store, or would. */
  clears: boolean
  dryRun: boolean
  /** Of a restore: what the backup does not hold was to be removed. */
  exact: boolean
  /** The machine came to its end without an error. */
  succeeded: boolean
  /** Its section of the manifest that the run sealed; null: there is none, or it could not be read. */
  held: Held | null
  /** Something of what the steps left in the bucket could not be read: only what the ledger says is known. */
  unread: boolean
}

/** What "Finish" asks of a store: what really happened, from what the steps left behind. */
export type Ender<Summary, Restore, Held, Left, Counts> = {
  /** What the ledger says. @throws when another version wrote it */
  inLedger(row: RunRow): Left
  /** With what the steps left in the bucket. Absent: the ledger has all of it. */
  inBucket?(
    clients: Clients,
    about: Pick<Ending<Summary, Restore, Held>, 'row' | 'summary'>,
    left: Left,
  ): Promise<Left>
  end(
    ending: Ending<Summary, Restore, Held>,
    left: Left,
  ): {
    counts: { state: TargetState } & Counts
    warnings: Warning[]
    /** Codes of warnings of the plan and of the manifest that do not count any more: it is known now. Absent: none. */
    settled?: readonly string[]
    /** What a wipe or a restore without an error left undone, in the words of an error; null: nothing. */
    shortfall: { wipe: string | null; restore: string | null }
  }
  /** What is left to do when the outcome is written; what fails changes nothing in it. Absent: nothing. */
  tidy?: {
    /** What a log says where it fails. */
    otherwise: string
    /** Also of a run that does not act on the store. */
    isForAll?: true
    act(clients: Clients, row: RunRow): Promise<void>
  }
}

/** Whether the turn of the target has come in a reset or a restore: the steps come in the order of the targets. */
export function hasBegun({ operation, phase, waiting, progress }: RunRow, target: Target): boolean {
  const known = operationOf(operation)
  if (known?.actsOn !== 'stores' || known.changes === null) return false
  const verb = known.changes === 'wiped' ? 'Wipe' : 'Restore'
  const at = targets.findIndex((one) => phase === `${verb} ${one}`)
  const reached = waiting === null ? at : at - 1
  const told = Object.keys(progress as object).some((key) => key.startsWith(`${verb} ${target}/`))
  return told || reached >= targets.indexOf(target)
}

/** Of the keys that a wipe of the cache deleted before it broke off: how many it told. */
export function toldOf({ progress }: RunRow, step: string): number {
  const told = progress as Record<string, { done: number } | undefined>
  return Object.entries(told).reduce(
    (sum, [key, one]) => sum + (key.startsWith(`${step}/`) ? (one?.done ?? 0) : 0),
    0,
  )
}
