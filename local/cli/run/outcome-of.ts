import type { DescribeExecutionCommandOutput } from '@aws-sdk/client-sfn'
import { utc } from '../../../lib/amounts.ts'
import { backupKeys } from '../../../lib/backup/layout.ts'
import type { Config } from '../../../lib/config/variables.ts'
import { causeOfEnd } from '../../../lib/executions/cause.ts'
import { requestIn } from '../../../lib/executions/payloads.ts'
import type { RunRow } from '../../../lib/ledger/runs.ts'
import { sealedBackupOf, statesInLedger } from '../../../lib/run/finish/target-states.ts'
import { Outcome } from '../../../lib/run/outcome.ts'
import { errorWithoutOutcome } from '../../../lib/run/words/without-outcome.ts'
import { refusalOf } from '../../../lib/run/words/would-do.ts'
import { perStore, type Target, type TargetState } from '../../../lib/store.ts'
import { words } from '../../../lib/stores/words.ts'
import type { StepProgress } from './steps.ts'

/** The outcome that a run's row holds; of a run that died or was called off, what its row still tells. */
export function outcomeOf(row: RunRow, config: Pick<Config, 'BACKUP_BUCKET' | 'BACKUP_PREFIX'>): Outcome {
  if (row.outcome !== null) return Outcome.parse(row.outcome)
  const backupId = sealedBackupOf(row, null)
  const states = statesInLedger(row)
  const isKnown = Object.values(states).every((state) => state !== 'unknown')
  return unfinished({
    runId: row.runId,
    operation: row.operation,
    strategy: row.strategy,
    states,
    backupId,
    backupPrefix:
      backupId && `s3://${config.BACKUP_BUCKET}/${backupKeys(config.BACKUP_PREFIX, backupId).root}`,
    error: errorWithoutOutcome(
      row,
      `Run ${row.runId} is ${row.status} in ${row.phase} and gave its last sign of life at ${utc(row.heartbeatAt)}${isKnown ? '' : '. How far it got is not known; look at the counts (options) and the backups'}`,
    ),
    startedAt: row.startedAt.toISOString(),
    finishedAt: (row.finishedAt ?? row.heartbeatAt).toISOString(),
  })
}

/**
 * The outcome of an execution that has no row in the ledger: mostly one that a guard refused.
 * @param steps what the execution did, from its history
 * @see docs/decisions.md#what-has-no-row-in-the-ledger-is-no-run
 */
export function outcomeWithoutRow(
  runId: string,
  execution: DescribeExecutionCommandOutput | undefined,
  steps: readonly StepProgress[],
): Outcome {
  const asked = requestIn(execution?.input)
  const began = (target: Target) =>
    steps.some(({ name }) => /^(Wipe|Restore) /.test(name) && name.endsWith(target))
  const error = {
    name: execution?.error ?? 'NotFound',
    message: execution === undefined ? `There is no run ${runId}` : causeOfEnd(execution),
  }
  return unfinished({
    runId,
    operation: asked.operation,
    strategy: asked.strategy,
    states: perStore((target) => (began(target) ? 'unknown' : 'untouched')),
    ...{ backupId: null, backupPrefix: null },
    ...(asked.dryRun ? { dryRun: true as const, refusal: refusalOf(null, error) } : {}),
    error,
    startedAt: (execution?.startDate ?? new Date()).toISOString(),
    finishedAt: (execution?.stopDate ?? new Date()).toISOString(),
  })
}

type Unfinished = Pick<
  Outcome,
  | 'runId'
  | 'operation'
  | 'strategy'
  | 'backupId'
  | 'backupPrefix'
  | 'dryRun'
  | 'refusal'
  | 'error'
  | 'startedAt'
  | 'finishedAt'
> & { states: Record<Target, TargetState> }

/** Where a wipe or a restore began it is not known how far it got. */
function unfinished({ states, ...known }: Unfinished): Outcome {
  return {
    runId: known.runId,
    operation: known.operation,
    strategy: known.strategy,
    ...(known.dryRun ? { dryRun: true, refusal: known.refusal } : {}),
    status: 'failed',
    backupId: known.backupId,
    backupPrefix: known.backupPrefix,
    targets: perStore((target) => ({
      state: states[target],
      ...words[target].nothing,
    })) as Outcome['targets'],
    warnings: [],
    error: known.error,
    startedAt: known.startedAt,
    finishedAt: known.finishedAt,
  }
}
