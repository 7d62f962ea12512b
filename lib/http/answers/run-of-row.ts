import * as z from 'zod'
import { utc } from '../../amounts.ts'
import { isCancellable, type RunRow } from '../../ledger/runs.ts'
import { operationOf } from '../../operations.ts'
import { Outcome } from '../../run/outcome.ts'
import { PlanSummary } from '../../run/planning/plan-summary.ts'
import { errorWithoutOutcome } from '../../run/words/without-outcome.ts'
import { wouldDoOf } from '../../run/words/would-do.ts'
import { type Nullable, sectionsOf } from '../../store/sections.ts'
import { type Answers, planTellers, type Summaries } from '../../stores.ts'
import { Progress, Run } from './run.ts'

/** A row of the ledger, as it is told. */
export function runOfRow(row: RunRow): Run {
  const plan = row.plan === null ? null : PlanSummary.parse(row.plan)
  const outcome = row.outcome === null ? null : Outcome.parse(row.outcome)
  const error = outcome === null ? errorOf(row) : outcome.error
  return {
    runId: row.runId,
    operation: row.operation,
    strategy: row.strategy,
    status: Run.shape.status.parse(row.status),
    phase: row.phase,
    attempt: row.attempt,
    requestedBy: row.requestedBy,
    dryRun: plan?.dryRun ?? false,
    backupId: plan?.subject?.backupId ?? row.backupId,
    to: plan?.restore?.to ?? null,
    restoredBackupId: plan?.restore?.backupId ?? null,
    target: row.targetBackupId,
    startedAt: row.startedAt.toISOString(),
    heartbeatAt: row.heartbeatAt.toISOString(),
    finishedAt: row.finishedAt?.toISOString() ?? null,
    closingUntil: row.closingUntil?.toISOString() ?? null,
    progress: sumByState(Progress.parse(row.progress)),
    steps: stepsOf(row.steps),
    waiting: row.status === 'running' ? row.waiting : null,
    cancellable: isCancellable(row),
    plan: plan && planOf(plan, row.operation),
    wouldDo: wouldDoOf(row.plan, row.operation, error ?? outcome?.refusal ?? null),
    outcome,
    error,
  }
}

function planOf(plan: PlanSummary, operation: string): NonNullable<Run['plan']> {
  const { clears, rehearse, warnings, subject } = plan
  const takesNone = warnings.some(({ code }) => code === 'NoBackup')
  const summaries: Nullable<Summaries> = plan
  return {
    ...sectionsOf<Nullable<Answers>>((target) => {
      const summary = summaries[target]
      return summary && planTellers[target].answer(summary)
    }),
    wipes: operationOf(operation)?.changes === 'wiped' ? clears : [],
    backsUp: takesNone ? [] : clears,
    rehearse: subject?.rehearse ?? rehearse,
    ...(subject?.rows !== undefined && { rows: subject.rows }),
  }
}

const Steps = z.record(z.string(), z.object({ from: z.coerce.date(), to: z.coerce.date().nullish() }))

/** What is no list of them tells nothing: times of steps keep nobody from looking at a run. */
export function stepsOf(noted: unknown): Run['steps'] {
  const { data } = Steps.safeParse(noted)
  if (data === undefined) return null
  return Object.fromEntries(
    Object.entries(data).map(([state, { from, to }]) => [
      state,
      { from: from.toISOString(), to: to?.toISOString() ?? null },
    ]),
  )
}

/** The ledger has one entry per batch, `<state>/<batch>`. */
function sumByState(progress: z.output<typeof Progress>): Run['progress'] {
  const sums: Run['progress'] = {}
  for (const [key, { done, total }] of Object.entries(progress)) {
    const state = key.slice(0, key.lastIndexOf('/'))
    const before = sums[state] ?? { done: 0, total: 0 }
    sums[state] = { done: before.done + done, total: before.total + total }
  }
  return sums
}

/** What a step noted while the run goes on is not an end. */
function errorOf(row: RunRow): Run['error'] {
  const { runId, status, phase, heartbeatAt } = row
  if (status === 'running') return null
  return errorWithoutOutcome(
    row,
    `Run ${runId} gave its last sign of life at ${utc(heartbeatAt)}, in ${phase}, and was taken over. How far it got is not known: look at the counts (GET /v1/options) and the backups`,
  )
}
