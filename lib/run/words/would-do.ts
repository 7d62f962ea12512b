import * as z from 'zod'
import type { DatabaseSummary } from '../../database/schema/plan-summary.ts'
import { errorKinds } from '../../errors.ts'
import type { FilesSummary } from '../../files/schema/plan-summary.ts'
import { operationOf } from '../../operations.ts'
import type { Target } from '../../store.ts'
import { PlanSummary, Refusal } from '../planning/plan-summary.ts'

const count = z.number().int().nonnegative()

/** `wiped` but for `keptRows`; `replaced` by `rowsAfter` of the backup; `kept` and `backed up` tables stay as they are. */
export const TableFate = z.enum(['wiped', 'kept', 'replaced', 'backed up'])

/** What the run would do that a dry run stands for. */
export const WouldDo = z.strictObject({
  /** Why it would be refused: then nothing of the rest would happen; null: it would not, by what is known now. */
  refusal: Refusal.nullable(),
  /** Whether it would take a backup first (or only); of a restore the safety backup. */
  backsUp: z.boolean(),
  /** Whether that would be loaded and compared, and not only read back. */
  rehearses: z.boolean(),
  database: z
    .strictObject({
      tables: z.array(
        z.strictObject({
          name: z.string(),
          would: TableFate,
          rows: count,
          keptRows: count,
          rowsAfter: count,
        }),
      ),
    })
    .nullable(),
  files: z
    .strictObject({ objects: count, bytes: count, preservedObjects: count, preservedBytes: count })
    .nullable(),
  cache: z.strictObject({ keys: count, preservedKeys: count }).nullable(),
  /** Of a restore: the backup, the files and keys it holds, and whether those that it does not hold would be removed. */
  restores: z
    .strictObject({ backupId: z.string(), objects: count, keys: count, exact: z.boolean() })
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
    database: database && isCounted('database') ? { tables: database.tables.map(fateOf(operation)) } : null,
    files: files && isCounted('files') ? filesOf(files) : null,
    cache: cache && isCounted('cache') ? cache : null,
    restores: restore && {
      backupId: restore.backupId,
      objects: restore.objects,
      keys: restore.keys,
      exact: restore.exact,
    },
  }
}

function filesOf({ objects, bytes, preservedObjects, preservedBytes }: FilesSummary): WouldDo['files'] {
  return { objects, bytes, preservedObjects, preservedBytes }
}

type PlannedTable = DatabaseSummary['tables'][number]
type Fate = NonNullable<WouldDo['database']>['tables'][number]

function fateOf(operation: string) {
  const changes = operationOf(operation)?.changes
  return ({ name, action, rows, keptRows, backedUpRows }: PlannedTable): Fate => {
    if (changes === null) return { name, would: 'backed up', rows, keptRows: rows, rowsAfter: rows }
    if (action === 'keep') return { name, would: 'kept', rows, keptRows: rows, rowsAfter: rows }
    if (changes === 'replaced')
      return { name, would: 'replaced', rows, keptRows: 0, rowsAfter: backedUpRows ?? 0 }
    return { name, would: 'wiped', rows, keptRows, rowsAfter: keptRows }
  }
}
