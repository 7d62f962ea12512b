import type { DescribeExecutionCommandOutput as Execution } from '@aws-sdk/client-sfn'
import * as z from 'zod'
import type { Clients } from '../../clients.ts'
import { NotFound } from '../../errors.ts'
import { causeOfEnd } from '../../executions/cause.ts'
import { findExecution } from '../../executions/executions.ts'
import { repeatedIn, requestIn } from '../../executions/payloads.ts'
import { findRun } from '../../ledger/runs.ts'
import { withConnection } from '../../postgres/with-connection.ts'
import type { Run } from './run.ts'
import { runOfRow } from './run-of-row.ts'

/**
 * A run by its id: from the ledger; before it got its row there, or when a guard of the machine refused it, from Step
 * Functions. An execution that only repeats an earlier request gives that run.
 * @throws NotFound
 */
export async function readRun(clients: Clients, runId: string): Promise<Run> {
  const row = await withConnection(clients, (connection) => findRun(connection, runId))
  if (row !== undefined) return runOfRow(row)
  const execution = await findExecution(clients, runId)
  if (execution === undefined) {
    throw new NotFound(`There is no run ${runId}. List the runs to see their ids`)
  }
  const repeats = repeatedIn(execution.output)
  return repeats === undefined ? runOfExecution(runId, execution) : readRun(clients, repeats)
}

function runOfExecution(runId: string, execution: Execution): Run {
  const startedAt = (execution.startDate ?? new Date(0)).toISOString()
  const finishedAt = execution.stopDate?.toISOString() ?? null
  return {
    runId,
    ...requestIn(execution.input),
    status: execution.status === 'RUNNING' ? 'starting' : 'failed',
    phase: null,
    attempt: 0,
    backupId: null,
    to: null,
    restoredBackupId: null,
    target: null,
    startedAt,
    heartbeatAt: finishedAt ?? startedAt,
    finishedAt,
    closingUntil: null,
    progress: {},
    steps: null,
    waiting: null,
    cancellable: false,
    plan: null,
    wouldDo: null,
    outcome: null,
    error: execution.status === 'RUNNING' ? null : errorOf(execution),
  }
}

const AskedOfBackup = z.object({ rehearse: z.boolean().default(false), rows: z.unknown().optional() })

/**
 * Whether a verify that is not planned yet rehearses, or such a diff tells rows. When it cannot be told any more, yes: that
 * needs more of a caller.
 */
export async function asksForRows(clients: Clients, runId: string): Promise<boolean> {
  const input = (await findExecution(clients, runId))?.input
  if (input === undefined) return true
  const { rehearse, rows } = AskedOfBackup.parse(JSON.parse(input))
  return rehearse || rows !== undefined
}

function errorOf(execution: Execution): NonNullable<Run['error']> {
  return { name: execution.error ?? `Execution ${execution.status}`, message: causeOfEnd(execution) }
}
