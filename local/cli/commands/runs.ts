import { backupKeys } from '../../../lib/backup/layout.ts'
import type { Clients } from '../../../lib/clients.ts'
import { ResetError } from '../../../lib/errors.ts'
import { findExecution } from '../../../lib/executions/executions.ts'
import { stepsOf } from '../../../lib/http/answers/run-of-row.ts'
import { findRun, listRuns, type RunRow, readRun } from '../../../lib/ledger/runs.ts'
import { withConnection } from '../../../lib/postgres/with-connection.ts'
import { exists } from '../../../lib/s3/bucket.ts'
import type { Answer } from '../answer.ts'
import { WrongUsage } from '../arguments.ts'
import type { Connected } from '../connect.ts'
import { commandLine } from '../program.ts'
import { outcomeOf, outcomeWithoutRow } from '../run/outcome-of.ts'
import { documentOf, showOutcome } from '../show/outcome.ts'
import { closing, runDocument, runLine, stepTimes, underWay } from '../show/run.ts'
import { list } from '../show/table.ts'
import type { Flags } from '../table/options.ts'

const shownRuns = { usual: 50, most: 100 }

/** Command "runs": the newest runs, or one by its id. */
export async function showRuns(
  { clients }: Connected,
  id: string | undefined,
  { limit: said, before }: Flags,
): Promise<Answer> {
  if (id !== undefined) {
    if (said === undefined && before === undefined) return showById(clients, id)
    throw new WrongUsage('runs shows one run by its id, or a list with --limit and --before', 'runs')
  }
  const limit = limitOf(said)
  const found = await withConnection(clients, async (connection) => {
    if (before !== undefined) await readRun(connection, before) // of one that there is not, none began before
    return listRuns(connection, limit + 1, before)
  })
  const rows = found.slice(0, limit)
  const next = found.length > limit ? (rows.at(-1)?.runId ?? null) : null
  const text = list(['started', 'run', 'operation', 'strategy', 'end', 'backup'], rows.map(runLine))
  const none = before === undefined ? 'No run yet.\n' : 'No run began before that one.\n'
  const more = next === null ? '' : `\nEarlier ones: ${commandLine('runs', '--before', next)}\n`
  return { document: { runs: rows.map(runDocument), next }, text: text === '' ? none : text + more, code: 0 }
}

function limitOf(said: string | undefined): number {
  const limit = said === undefined ? shownRuns.usual : /^\d{1,4}$/.test(said) ? Number(said) : 0
  if (limit >= 1 && limit <= shownRuns.most) return limit
  throw new WrongUsage(`--limit ${said} is not a number from 1 to ${shownRuns.most}`, 'runs')
}

/** Also what was refused before it got into the ledger, as long as Step Functions knows of it. */
async function showById(clients: Clients, id: string): Promise<Answer> {
  const row = await withConnection(clients, (connection) => findRun(connection, id))
  if (row !== undefined) return showRun(row, clients)
  const execution = await findExecution(clients, id)
  if (execution === undefined || execution.status === 'RUNNING' || execution.error === undefined)
    return showRun(await withConnection(clients, (connection) => readRun(connection, id)), clients)
  const outcome = outcomeWithoutRow(id, execution, [])
  const around = { plan: null, environment: clients.config.ENVIRONMENT, didNotBegin: true }
  return { document: documentOf(outcome, null), text: showOutcome(outcome, around), code: 0 }
}

/** One that is over as its outcome, one under way as far as it is. */
async function showRun(row: RunRow, clients: Clients): Promise<Answer> {
  const { config } = clients
  const steps = stepsOf(row.steps)
  if (row.status !== 'running') {
    const outcome = outcomeOf(row, config)
    const isDeleted = outcome.backupId !== null && !(await isThere(clients, outcome.backupId))
    const around = { plan: row.plan, environment: config.ENVIRONMENT, status: row.status, isDeleted }
    return {
      document: { ...documentOf(outcome, row.plan), steps },
      text: showOutcome(outcome, around) + stepTimes(steps) + closing(row),
      code: 0,
    }
  }
  const document = {
    ...runDocument(row),
    progress: row.progress,
    waiting: row.waiting,
    steps,
    heartbeatAt: row.heartbeatAt.toISOString(),
  }
  return { document, text: underWay(row) + stepTimes(steps, true), code: 0 }
}

/** Whether the backup can still be restored. Where S3 does not say, what the run did is told all the same, and not that it is gone. */
async function isThere({ backups, config }: Clients, backupId: string): Promise<boolean> {
  try {
    return await exists(backups, backupKeys(config.BACKUP_PREFIX, backupId).manifest)
  } catch (error) {
    if (error instanceof ResetError) return true
    throw error
  }
}
