import * as z from 'zod'
import { Warning } from '../../backup/manifest.ts'
import type { Backup } from '../../backup/read.ts'
import { type Nullable, sectionsOf, shapeOfAll, together } from '../../store/sections.ts'
import { perStore, type Target, targets } from '../../store.ts'
import {
  type Held,
  type Planned,
  restoreSummarySchemas,
  type Summaries,
  summarizers,
  summarySchemas,
} from '../../stores.ts'
import { Plan } from './plan.ts'

/** Why a run is refused, or would be. */
export const Refusal = z.strictObject({ name: z.string(), message: z.string() })
export type Refusal = z.output<typeof Refusal>

/** Of the backup that a verify, a diff or a delete is about. */
export const SubjectSummary = z.object({
  backupId: z.string(),
  /** The backup that a diff compares it with; absent: it is compared with what is there now. */
  to: z.string().optional(),
  /** The table of which a diff tells rows; absent: it tells none. */
  rows: z.string().optional(),
  rehearse: z.boolean(),
  objects: z.number().default(0),
  bytes: z.number().default(0),
})
export type SubjectSummary = z.output<typeof SubjectSummary>

/**
 * What the ledger keeps of a plan (`plan` of its row): what a person asks about later, without columns and work lists.
 * Earlier versions wrote less: what has a default may be missing. Later ones may have written more, which is not read: a
 * run of theirs must still be shown and ended after a rollback, so that nothing here is strict.
 */
export const PlanSummary = z.object({
  strategy: z.string().nullish(),
  clears: z.array(z.enum(targets)),
  dryRun: z.boolean(),
  /** Of a dry run: why the real one would be refused by a rule that a dry run passes. */
  refusal: Refusal.nullish(),
  /** Of a dry run: what it would change is looked at row by row. */
  compares: z.boolean().optional(),
  /** Of a dry run: hooks may be meant for it. Which, Count must not know. */
  hooks: z.boolean().default(false),
  rehearse: z.boolean().default(false),
  preserve: z.object(Plan.shape.preserve.shape).partial().optional(),
  /** What the backup is to be called. */
  naming: z.object({ label: z.string().nullable(), note: z.string().nullable(), pin: z.boolean() }).nullish(),
  warnings: z.array(z.object(Warning.shape)),
  ...summarySchemas,
  restore: z
    .object({
      backupId: z.string(),
      seen: z.unknown().optional(),
      exact: z.boolean().default(false),
      ttl: z.string().optional(),
      /** As a reset called the backup that it goes back to. */
      to: z.string().nullish(),
      ...shapeOfAll(restoreSummarySchemas),
    })
    .nullable(),
  subject: SubjectSummary.optional(),
})
export type PlanSummary = z.output<typeof PlanSummary>

/** The summary of a run that acts on no store, or of which nothing is planned yet. */
export const noPlan = {
  ...{ clears: [], dryRun: false, warnings: [], ...perStore(() => null), restore: null },
} satisfies z.input<typeof PlanSummary>

/** @param backup the backup that is put back */
export function planSummaryOf(
  plan: Plan,
  {
    backup,
    ...told
  }: { backup: Backup | null; dryRun: boolean; refusal: Refusal | null; hooks?: boolean; compares?: boolean },
): z.input<typeof PlanSummary> {
  const { strategy, clears, rehearse, preserve, naming, warnings, restore } = plan
  const planned: Nullable<Planned> = plan
  const held = sectionsOf<Nullable<Held>>((target) => backup?.[target] ?? null)
  return {
    strategy,
    clears,
    ...told,
    rehearse,
    preserve,
    naming,
    warnings,
    ...sectionsOf<Nullable<Summaries>>((target) => {
      const section = planned[target]
      return section && summarizers[target].section(section, held[target])
    }),
    restore: restore && {
      ...restore,
      ...together(sectionsOf<Record<Target, object>>((target) => summarizers[target].restored(held[target]))),
    },
  }
}
