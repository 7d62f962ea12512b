import type { Clients } from '../clients.ts'
import { messageOf, NotFound, RunEnded, RunStarting, StoreUnavailable, TooLateToCancel } from '../errors.ts'
import { findExecution, stopExecution } from '../executions/executions.ts'
import { findRun, isCancellable, lockRun, type RunRow, readRun } from '../ledger/runs.ts'
import { statusWords } from '../ledger/status.ts'
import { isOneStep } from '../operations.ts'
import type { Connection } from '../postgres/connection.ts'
import { databaseError } from '../postgres/errors.ts'
import { withConnection } from '../postgres/with-connection.ts'
import { endRun } from './end.ts'

/** Milliseconds. Who asks over HTTP gets an answer within half a minute, or none. */
const answerWithinMs = 10_000

/**
 * Calls a run off. Under the lock of its row, so that either a wipe has begun and it is too late, or none will: each step
 * looks at the row before it acts, and the transaction that wipes locks it. So it holds whatever a function still does,
 * and when the execution cannot be stopped. Repeating it changes nothing.
 * @param by who asks, as in `requestedBy`
 * @returns the run's row
 * @throws NotFound, RunStarting, RunEnded, TooLateToCancel, DatabaseBusy: nothing was changed
 * @throws StoreUnavailable when it is cancelled, but its execution could not be stopped; it then ends at its next step
 * @see docs/decisions.md#cancelling-works-by-the-ledgers-row
 */
export async function cancelRun(
  clients: Clients,
  { runId, by }: { runId: string; by: string },
): Promise<RunRow> {
  const cancelled = await withConnection(clients, async (connection) => {
    // A wipe holds the row for as long as it takes: what can be told without waiting for it is told.
    refuse(runId, await rowToCancel(clients, connection, runId))
    await connection.query(`SET lock_timeout = ${Math.min(clients.config.LOCK_TIMEOUT_MS, answerWithinMs)}`)
    await connection.query('BEGIN')
    const row = await lockRun(connection, runId).catch((error: unknown) => {
      throw databaseError(error)
    })
    if (row === undefined) throw notInLedger(runId)
    refuse(runId, row)
    const failure = {
      error: 'Cancelled',
      message: `Cancelled by ${by} in the step "${row.phase}". Nothing was wiped, restored or deleted`,
      phase: row.phase,
    }
    await endRun(clients, connection, { cancelled: { runId, failure } })
    return readRun(connection, runId)
  })
  try {
    await stopExecution(clients, runId, { error: 'Cancelled', cause: `Cancelled by ${by}` })
  } catch (cause) {
    throw new StoreUnavailable(
      `Run ${runId} is cancelled and changes nothing any more, but its execution could not be stopped: ${messageOf(cause)}. It ends by itself at its next step; cancel again to stop it now`,
      { cause },
    )
  }
  return cancelled
}

/**
 * The row of a run that somebody wants to cancel.
 * @throws RunStarting when its execution has begun, but has no row yet that could be cancelled
 * @throws NotFound
 */
export async function rowToCancel(clients: Clients, connection: Connection, runId: string): Promise<RunRow> {
  const row = await findRun(connection, runId)
  if (row !== undefined) return row
  const execution = await findExecution(clients, runId)
  if (execution?.status === 'RUNNING') {
    throw new RunStarting(
      `Run ${runId} was started just now and is not in the ledger yet, so it cannot be cancelled yet. It has changed nothing, and goes on: cancel it again in a second`,
    )
  }
  throw notInLedger(runId)
}

function notInLedger(runId: string): NotFound {
  return new NotFound(`There is no run ${runId} in the ledger. List the runs to see their ids`)
}

function refuse(runId: string, row: RunRow): void {
  if (row.status === 'cancelled') return
  if (row.status !== 'running') {
    throw new RunEnded(
      `Run ${runId} is over (${statusWords[row.status] ?? row.status}). There is nothing to cancel`,
    )
  }
  if (!isCancellable(row)) {
    throw new TooLateToCancel(
      isOneStep(row.operation)
        ? `Run ${runId} is a claim, which is one step: it is done, or fails by itself. There is nothing to cancel`
        : `Run ${runId} is in the step "${row.phase}" and changes what it acts on, or is about to: stopping it now could leave that half changed. Let it end; if it took a backup, what it changes can be restored from that`,
    )
  }
}
