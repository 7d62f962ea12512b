import * as z from 'zod'
import { CacheBack, CacheWould, wouldOfCache } from '../../cache/schema/plan-answer.ts'
import { DatabaseWould, wouldOfDatabase } from '../../database/schema/plan-answer.ts'
import { errorKinds } from '../../errors.ts'
import { FilesBack, FilesWould, wouldOfFiles } from '../../files/schema/plan-answer.ts'
import type { Target } from '../../store.ts'
import { PlanSummary, Refusal } from '../planning/plan-summary.ts'

/** What the run would do that a dry run stands for. */
export const WouldDo = z.strictObject({
  /** Why it would be refused: then nothing of the rest would happen; null: it would not, by what is known now. */
  refusal: Refusal.nullable(),
  /** Whether it would take a backup first (or only); of a restore the safety backup. */
  backsUp: z.boolean(),
  /** Whether that would be loaded and compared, and not only read back. */
  rehearses: z.boolean(),
  database: DatabaseWould.nullable(),
  files: FilesWould.nullable(),
  cache: CacheWould.nullable(),
  /** Of a restore: the backup, how much it holds, and whether what it does not hold would be removed. */
  restores: z
    .strictObject({ backupId: z.string(), ...FilesBack.shape, ...CacheBack.shape, exact: z.boolean() })
    .nullable(),
})
export type WouldDo = z.output<typeof WouldDo>

/**
 * Whether an error says that a rule refuses the request, so that the run which a dry run stands for would end with it, too.
 * What fails for another reason (a store is down) says nothing of that run; that there is no such backup does.
 */
function isRefusal({ name }: { name: string }): boolean {
  return name === 'NotFound' || (errorKinds.get(name) ?? 'failure') !== 'failure'
}

/** Why the run would be refused that a dry run stands for: what Count noted, or what the dry run itself ended with. */
export function refusalOf(
  noted: Refusal | null | undefined,
  error: Refusal | null | undefined,
): Refusal | null {
  return error && isRefusal(error) ? error : (noted ?? null)
}

/**
 * @param plan the ledger's
 * @param error what the dry run ended with
 * @returns null for a run that is not dry
 */
export function wouldDoOf(plan: unknown, operation: string, error: Refusal | null): WouldDo | null {
  if (plan === null) return null
  const { dryRun, refusal, rehearse, warnings, clears, database, files, cache, restore } =
    PlanSummary.parse(plan)
  if (!dryRun) return null
  const isCounted = (target: Target) => clears.includes(target)
  return {
    refusal: refusalOf(refusal, error),
    backsUp: !warnings.some(({ code }) => code === 'NoBackup'),
    rehearses: rehearse,
    database: database && isCounted('database') ? wouldOfDatabase(database, operation) : null,
    files: files && isCounted('files') ? wouldOfFiles(files) : null,
    cache: cache && isCounted('cache') ? wouldOfCache(cache) : null,
    restores: restore && {
      backupId: restore.backupId,
      objects: restore.objects,
      keys: restore.keys,
      exact: restore.exact,
    },
  }
}
