import * as z from 'zod'
import { counted } from '../amounts.ts'
import { Warning } from '../backup/manifest.ts'
import { nullable, withFields } from '../store/sections.ts'
import { targetStates } from '../store.ts'
import { countSchemas, differenceSchemas } from '../stores.ts'
import { cut, sizeOf } from '../visible.ts'
import { subjectStates } from './subject-state.ts'

const count = z.number().int().nonnegative()

export const Outcome = z.strictObject({
  runId: z.string(),
  operation: z.string(),
  strategy: z.string().nullable(),
  /** Of a dry run: nothing was written, whatever the rest says. */
  dryRun: z.literal(true).optional(),
  /** Of a dry run: why the run that it stands for would be refused; null: it would not be. */
  refusal: z.strictObject({ name: z.string(), message: z.string() }).nullable().optional(),
  status: z.enum(['succeeded', 'succeeded_with_warnings', 'failed']),
  backupId: z.string().nullable(),
  /** Of a restore: the backup that was put back; `backupId` is then the safety backup. */
  restoredBackupId: z.string().optional(),
  /** Of a reset to a backup: how the request called it, and which one that was. */
  to: z.strictObject({ name: z.string(), backupId: z.string() }).optional(),
  /**
   * Of a verify, a diff or a delete: the backup it is about, with the objects and bytes that were read or deleted; `to`: the
   * backup that it was compared with.
   */
  subject: z
    .strictObject({
      backupId: z.string(),
      to: z.string().optional(),
      state: z.enum(subjectStates),
      objects: count,
      bytes: count,
    })
    .optional(),
  /** Of a diff: what became of each store since the backup; null: the backup, or one of the two, does not hold it. */
  difference: z.strictObject(nullable(differenceSchemas)).optional(),
  /** s3:// address of the backup's folder; null when no backup was sealed. */
  backupPrefix: z.string().nullable(),
  /** Counts are of what the state says: rows wiped, or rows backed up; 0 when untouched. `takenOver` is of the run's backup. */
  targets: z.strictObject(withFields({ state: z.enum(targetStates) }, countSchemas)),
  warnings: z.array(Warning),
  error: z.strictObject({ name: z.string(), message: z.string() }).nullable(),
  startedAt: z.string(),
  finishedAt: z.string(),
})
export type Outcome = z.output<typeof Outcome>

/**
 * No state's payload may grow with the data: the ledger keeps the whole outcome, the execution's output this. It stands
 * beside the numbers of at most 4,000 batches (16 KB) in 32 KiB.
 */
const outputMaxBytes = 12 * 1024

/** The outcome without what makes it long, when it is too long to be an execution's output. */
export function shortened(outcome: Outcome): Outcome {
  if (sizeOf(outcome) <= outputMaxBytes) return outcome
  const { database } = outcome.targets
  const short = {
    ...withoutDifference(outcome),
    targets: { ...outcome.targets, database: { ...database, tables: {} } },
  }
  if (sizeOf(short) <= outputMaxBytes) return short
  const warnings = outcome.warnings.slice(0, 10).map(({ code, message }) => ({
    code,
    message: cut(message, 1000, 'the ledger has all of it'),
  }))
  const error = outcome.error && {
    ...outcome.error,
    message: cut(outcome.error.message, 8000, 'the ledger has all of it'),
  }
  return { ...short, warnings, error }
}

function withoutDifference({ difference: _, ...outcome }: Outcome): Outcome {
  return outcome
}

/**
 * What is short and certain of an outcome that the ledger does not take: states and sums, without table names, and with
 * the reason.
 */
export function reduced(outcome: Outcome, reason: string): Outcome {
  const { error, warnings, targets } = outcome
  const beginning = (text: string) => cut(text, 1000, 'the ledger did not take all of it')
  return {
    ...withoutDifference(outcome),
    status: outcome.status === 'failed' ? 'failed' : 'succeeded_with_warnings',
    targets: { ...targets, database: { ...targets.database, tables: {} } },
    warnings: [
      {
        code: 'OutcomeReduced',
        message: `The ledger did not take the whole outcome (${beginning(reason)}): tables by name and ${counted(warnings.length, 'warning')} are left out. The backup's manifest and the log of the function finish have them`,
      },
    ],
    error: error && { name: beginning(error.name), message: beginning(error.message) },
  }
}
