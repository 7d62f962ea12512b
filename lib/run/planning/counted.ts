import { type BackupOperation, operations } from '../../operations.ts'
import { perStore, type Target } from '../../store.ts'
import type { Planned } from '../../stores.ts'
import type { Request } from '../request.ts'
import type { Plan } from './plan.ts'

/** The state of the execution from here on: small references; the plan itself lies in S3. */
export type Counted =
  | { next: 'repeated'; repeats: string; status: string }
  | { next: 'finish'; runId: string; attempt: number; prunes: false }
  | {
      next: 'backup' | 'wipe' | 'restore' | 'finish' | BackupOperation
      runId: string
      attempt: number
      operation: Exclude<Request['operation'], 'claim'>
      rehearse: boolean
      /** The database is exported in several batches, of which each sees a moment of its own. */
      reconcile: boolean
      /** A retention is configured: old backups are pruned when the run has succeeded. */
      prunes: boolean
      clears: Record<Target, boolean>
      /** The batches of each target by number, as items of the Maps: 1,000 of them are 5 KB. */
      batches: Record<Target | 'verify' | 'load' | 'restoreFiles', number[]>
      /** Hooks may be meant for it. The machine asks whether it is said. */
      hooks?: true
    }

/** What the machine is told of a plan. */
export function countedBy(plan: Plan, { prunes, hooks }: { prunes: boolean; hooks: boolean }): Counted {
  return {
    next: plan.backupId === null ? afterBackup(plan) : 'backup',
    runId: plan.runId,
    attempt: plan.attempt,
    operation: wayOf(plan),
    rehearse: plan.rehearse,
    reconcile: (plan.database?.batches ?? 0) > 1,
    prunes,
    clears: perStore((target) => plan.clears.includes(target)),
    batches: {
      ...perStore((target) => batchList(batchesOf(plan[target]))),
      verify: [],
      load: batchList(plan.restore?.batches ?? 0),
      restoreFiles: batchList(plan.restore?.files?.batches ?? 0),
    },
    ...(hooks ? { hooks: true } : {}),
  }
}

/** What follows when the stores are compared with a backup, and nothing else is done. */
export function looking(run: { runId: string; attempt: number }): Counted {
  return { ...run, next: 'diff', operation: 'restore', ...idle }
}

/** Of a run that acts on no store. */
export const idle = {
  rehearse: false,
  reconcile: false,
  prunes: false,
  clears: perStore(() => false),
  batches: { ...perStore((): number[] => []), restoreFiles: [], verify: [], load: [] },
}

/**
 * What the machine is told, and what its Choice behind Seal goes by: whatever puts a backup in place of what is there goes
 * the way of a restore.
 * @see docs/decisions.md#a-reset-to-a-backup-is-a-restore-to-the-machine
 */
function wayOf({ operation }: Plan): 'backup' | 'reset' | 'restore' {
  const { changes } = operations[operation]
  return changes === null ? 'backup' : changes === 'wiped' ? 'reset' : 'restore'
}

/** What is left to do without a backup: nothing, of what changes nothing. */
function afterBackup({ operation }: Plan): 'wipe' | 'restore' | 'finish' {
  const { changes } = operations[operation]
  return changes === null ? 'finish' : changes === 'wiped' ? 'wipe' : 'restore'
}

/** Of a store's section of the plan: one that says nothing of batches is backed up in one. */
function batchesOf(planned: Planned[Target] | null): number {
  if (planned === null) return 0
  return 'batches' in planned ? planned.batches : 1
}

/** By number, as items of a Map. */
export function batchList(batches: number): number[] {
  return Array.from({ length: batches }, (_, batch) => batch)
}
