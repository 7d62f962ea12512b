import type { Scope } from './config/values.ts'

type Operation = {
  /** `stores`: all stores, by a plan; `backup`: one backup, and no store; `environment`: the names that the stores carry. */
  actsOn: 'stores' | 'backup' | 'environment'
  /** What becomes of what it acts on, unless it is a dry run; null: that stays as it is. */
  changes: 'wiped' | 'replaced' | 'deleted' | null
  /** What a token needs to start it, and to cancel it. */
  scope: Scope
  /**
   * The same where rows leave the backup: are loaded into the database to try them, or told; absent: it makes no difference.
   * @see docs/decisions.md#rehearsing-needs-the-scope-of-taking-a-backup
   */
  scopeForRows?: Scope
  /** What people call it in a sentence; absent: by its name. */
  said?: string
}

/** What there is to know of each operation. What only one operation does stands where it does it. */
export const operations = {
  backup: { actsOn: 'stores', changes: null, scope: 'backup' },
  reset: { actsOn: 'stores', changes: 'wiped', scope: 'reset' },
  /** A reset that goes back to a backup: its request says `reset` with `to`. What it does to the stores is a restore. */
  'reset-to': { actsOn: 'stores', changes: 'replaced', scope: 'reset', said: 'reset' },
  restore: { actsOn: 'stores', changes: 'replaced', scope: 'restore' },
  verify: {
    actsOn: 'backup',
    changes: null,
    scope: 'read',
    scopeForRows: 'backup',
  },
  /**
   * @see docs/decisions.md#rehearsing-needs-the-scope-of-taking-a-backup
   * @see docs/decisions.md#rows-that-differ-are-told-to-who-may-restore
   */
  diff: { actsOn: 'backup', changes: null, scope: 'backup', scopeForRows: 'restore' },
  delete: { actsOn: 'backup', changes: 'deleted', scope: 'delete' },
  claim: { actsOn: 'environment', changes: null, scope: 'reset' },
} as const satisfies Record<string, Operation>

export type OperationName = keyof typeof operations

type ActingOn<What extends Operation['actsOn']> = {
  [Name in OperationName]: (typeof operations)[Name]['actsOn'] extends What ? Name : never
}[OperationName]

/** Those of a plan. */
export type StoreOperation = ActingOn<'stores'>
/** Those on one backup. */
export type BackupOperation = ActingOn<'backup'>

/** The names of those that act on it. */
export function operationsOn<What extends Operation['actsOn']>(what: What): ActingOn<What>[] {
  const names = Object.keys(operations) as OperationName[]
  return names.filter((name) => operations[name].actsOn === what) as ActingOn<What>[]
}

/** What is known of an operation by its name, as a row of the ledger has it; undefined: another version wrote it. */
export function operationOf(name: string): Operation | undefined {
  return Object.hasOwn(operations, name) ? operations[name as OperationName] : undefined
}

/** What a sentence calls it. */
export function saidAs(name: string): string {
  return operationOf(name)?.said ?? name
}

/** Whether it takes away what is there. */
export function destroys(name: string): boolean {
  return (operationOf(name)?.changes ?? null) !== null
}

/** Whether it is over with its first step, so that there is nothing to cancel, and no backup that it needs. */
export function isOneStep(name: string): boolean {
  return operationOf(name)?.actsOn === 'environment'
}

/** Whether the environment's name has to be said: for what takes away, and for the name itself. */
export function needsConfirm(name: string): boolean {
  return destroys(name) || operationOf(name)?.actsOn === 'environment'
}

/** The scope that starting a run needs, and cancelling it. @param rows whether it rehearses, or tells rows */
export function scopeToStart(name: string, rows: boolean): Scope | undefined {
  const { scope, scopeForRows = scope } = operationOf(name) ?? {}
  return rows ? scopeForRows : scope
}
