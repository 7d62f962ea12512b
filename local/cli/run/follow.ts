import { setTimeout as sleep } from 'node:timers/promises'
import type { DescribeExecutionCommandOutput } from '@aws-sdk/client-sfn'
import type { Clients } from '../../../lib/clients.ts'
import { StoreUnavailable } from '../../../lib/errors.ts'
import { causeOfEnd } from '../../../lib/executions/cause.ts'
import { findExecution } from '../../../lib/executions/executions.ts'
import { repeatedIn } from '../../../lib/executions/payloads.ts'
import { type LedgerLine, ledgerLine } from '../../../lib/ledger/line.ts'
import { abandonedAfterMinutes } from '../../../lib/ledger/records.ts'
import { findRun, type RunRow } from '../../../lib/ledger/runs.ts'
import { Outcome } from '../../../lib/run/outcome.ts'
import { MACHINE_ARN } from '../../machine/arn.ts'
import type { ProgressView } from '../show/progress.ts'
import { outcomeOf, outcomeWithoutRow } from './outcome-of.ts'
import { readSteps, type StepProgress } from './steps.ts'

type Tools = { clients: Clients; ledger: LedgerLine }

export type Followed = {
  outcome: Outcome
  /** The row of the ledger; undefined when it could not be read, or there is none. */
  row: RunRow | undefined
  /** It ended before it got its row: a guard refused it, or a store was down. */
  didNotBegin: boolean
  /** The first run, when the request was sent before and so did not start another. */
  repeats: string | undefined
}

type RunSeen = {
  execution: DescribeExecutionCommandOutput | undefined
  row: RunRow | undefined
  /** Whether the ledger answered, so that a row which is missing is not there. */
  isRead: boolean
  steps: StepProgress[]
}

/** Between two looks, in milliseconds: here it costs nothing, on AWS each is a call that is counted. */
const pauseMs = { embedded: 100, aws: 1000 }

/**
 * Waits for the end of a run and shows how far it is. The outcome is the ledger's, which tells more than the execution.
 * @throws StoreUnavailable when neither can be asked
 */
export async function followRun(
  clients: Clients,
  runId: string,
  view: ProgressView,
  signal?: AbortSignal,
): Promise<Followed> {
  const ledger = ledgerLine(clients)
  try {
    return await follow({ clients, ledger }, runId, view, signal)
  } finally {
    await ledger.close()
  }
}

async function follow(
  tools: Tools,
  runId: string,
  view: ProgressView,
  signal: AbortSignal | undefined,
): Promise<Followed> {
  const pause = tools.clients.config.STATE_MACHINE_ARN === MACHINE_ARN ? pauseMs.embedded : pauseMs.aws
  let now = await look(tools, runId, undefined)
  for (; isUnderWay(now); now = await look(tools, runId, now.row)) {
    view.show(now.steps, now.row?.runId)
    await sleep(pause, undefined, signal && { signal })
  }
  view.show(now.steps, now.row?.runId)
  view.end()
  const repeats = repeatedIn(now.execution?.output)
  if (repeats !== undefined) return { ...(await follow(tools, repeats, view, signal)), repeats }
  return { ...(await endOf(tools, runId, now)), repeats }
}

async function endOf(
  tools: Tools,
  runId: string,
  { execution, row, isRead, steps }: RunSeen,
): Promise<Omit<Followed, 'repeats'>> {
  const didNotBegin = row === undefined && isRead
  if (row?.outcome == null) {
    // The ledger could not be read at the end; the execution's output is the same, but for what would make it long.
    const told = Outcome.safeParse(JSON.parse(execution?.output ?? 'null'))
    if (told.success) return { outcome: told.data, row, didNotBegin: false }
  }
  if (row === undefined) return { outcome: outcomeWithoutRow(runId, execution, steps), row, didNotBegin }
  const closed =
    row.status === 'running' && execution !== undefined ? await close(tools, row, execution) : row
  return { outcome: outcomeOf(closed, tools.clients.config), row: closed, didNotBegin }
}

async function look(tools: Tools, runId: string, before: RunRow | undefined): Promise<RunSeen> {
  // The execution first: when it has ended, the row is complete.
  const execution = await findExecution(tools.clients, runId)
  const found = await readRow(tools, runId, execution !== undefined)
  const row = found === 'not read' ? before : found
  const steps = execution === undefined ? [] : await readSteps(tools.clients, runId, row)
  return { execution, row, isRead: found !== 'not read', steps }
}

/** A database that cannot be asked for a moment does not end the wait, as long as there is an execution to wait for. */
async function readRow(
  { ledger }: Tools,
  runId: string,
  isPatient: boolean,
): Promise<RunRow | undefined | 'not read'> {
  try {
    return await ledger.use((connection) => findRun(connection, runId))
  } catch (error) {
    if (isPatient && error instanceof StoreUnavailable) return 'not read'
    throw error
  }
}

function isUnderWay({ execution, row }: RunSeen): boolean {
  if (execution !== undefined) return execution.status === 'RUNNING'
  return row?.status === 'running' && Date.now() - row.heartbeatAt.getTime() < abandonedAfterMinutes * 60_000
}

/** An execution that was aborted or timed out cannot write its outcome itself. On AWS an event does it as well. */
async function close(
  { clients, ledger }: Tools,
  row: RunRow,
  execution: DescribeExecutionCommandOutput,
): Promise<RunRow> {
  const error = { Error: execution.error ?? `Execution${execution.status}`, Cause: causeOfEnd(execution) }
  const { finish } = await import('../../../lib/run/finish/finish.ts') // it brings along what all the steps are made of
  await finish(clients, { runId: row.runId, error })
  return (await ledger.use((connection) => findRun(connection, row.runId))) ?? row
}
