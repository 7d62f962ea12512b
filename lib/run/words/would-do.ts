import * as z from 'zod'
import { errorKinds } from '../../errors.ts'
import { destroys } from '../../operations.ts'
import { type Nullable, nullable, sectionsOf, shapeOfAll } from '../../store/sections.ts'
import { backSchemas, planTellers, type Summaries, type Woulds, wouldSchemas } from '../../stores.ts'
import { PlanSummary, Refusal } from '../planning/plan-summary.ts'

/** What the run would do that a dry run stands for. */
export const WouldDo = z.strictObject({
  /** Why it would be refused: then nothing of the rest would happen; null: it would not, by what is known now. */
  refusal: Refusal.nullable(),
  /** Whether it would take a backup first (or only); of a restore the safety backup. */
  backsUp: z.boolean(),
  /** Whether that would be loaded and compared, and not only read back. */
  rehearses: z.boolean(),
  /** Whether hooks would be called before and after it; on AWS whether there are hooks, as far as they are meant for it. */
  hooks: z.boolean(),
  ...nullable(wouldSchemas),
  /** Of a restore: the backup, how much it holds, and whether what it does not hold would be removed. */
  restores: z
    .strictObject({ backupId: z.string(), ...shapeOfAll(backSchemas), exact: z.boolean() })
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
  const summary = PlanSummary.parse(plan)
  const { dryRun, refusal, rehearse, hooks, warnings, clears, restore } = summary
  const sections: Nullable<Summaries> = summary
  if (!dryRun) return null
  return {
    refusal: refusalOf(refusal, error),
    backsUp: !warnings.some(({ code }) => code === 'NoBackup'),
    rehearses: rehearse,
    hooks: hooks && destroys(operation),
    ...sectionsOf<Nullable<Woulds>>((target) => {
      const planned = sections[target]
      return planned && clears.includes(target) ? planTellers[target].would(planned, operation) : null
    }),
    restores: restore && {
      backupId: restore.backupId,
      ...z.object(shapeOfAll(backSchemas)).parse(restore),
      exact: restore.exact,
    },
  }
}
