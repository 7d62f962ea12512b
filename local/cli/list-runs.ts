import { withConnection } from '../../lib/database/snapshot.ts'
import { listRuns, type RunRow, readRun } from '../../lib/run/ledger.ts'
import type { Answer } from './answer.ts'
import type { Connected } from './connect.ts'
import { outcomeOf } from './outcome-of.ts'
import { showOutcome } from './show-outcome.ts'
import { table } from './text.ts'

const shownRuns = 50

/** Command "runs": the newest runs, or one by its id. */
export async function showRuns({ clients }: Connected, id: string | undefined): Promise<Answer> {
  if (id !== undefined) return showRun(await withConnection(clients, (connection) => readRun(connection, id)))
  const rows = await withConnection(clients, (connection) => listRuns(connection, shownRuns))
  const text = table(
    rows.map((row) => [
      row.startedAt.toISOString(),
      row.runId,
      row.operation,
      row.strategy ?? '',
      row.closingUntil === null ? row.status : `${row.status}, closing`,
      row.backupId ?? '',
    ]),
    '',
  )
  return { document: { runs: rows.map(summaryOf) }, text: text === '' ? 'No run yet.\n' : text, code: 0 }
}

/** One that is over as its outcome, one under way as far as it is. */
function showRun(row: RunRow): Answer {
  if (row.status !== 'running') {
    const outcome = outcomeOf(row)
    const closing =
      row.closingUntil === null
        ? ''
        : `It is closing: a function of it may be at work until ${row.closingUntil.toISOString()}; the next run can begin when that has ended.\n`
    return { document: outcome, text: showOutcome(outcome) + closing, code: 0 }
  }
  const document = {
    ...summaryOf(row),
    progress: row.progress,
    waiting: row.waiting,
    heartbeatAt: row.heartbeatAt.toISOString(),
  }
  const text = `Run ${row.runId} (${[row.operation, row.strategy].filter(Boolean).join(' ')}) is in "${row.phase}"${row.waiting === null ? '' : `, ${row.waiting}`}.\nStarted ${document.startedAt}, last sign of life ${document.heartbeatAt}.\n`
  return { document, text, code: 0 }
}

/** A run in a few words. */
export function summaryOf(row: RunRow) {
  return {
    runId: row.runId,
    operation: row.operation,
    strategy: row.strategy,
    status: row.status,
    phase: row.phase,
    requestedBy: row.requestedBy,
    backupId: row.backupId,
    startedAt: row.startedAt.toISOString(),
    finishedAt: row.finishedAt?.toISOString() ?? null,
    closingUntil: row.closingUntil?.toISOString() ?? null,
  }
}
