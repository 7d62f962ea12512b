import * as z from 'zod'
import { utc } from '../../lib/amounts.ts'
import { backupKeys } from '../../lib/backup/layout.ts'
import type { Clients } from '../../lib/clients.ts'
import { ResetError } from '../../lib/errors.ts'
import { findExecution } from '../../lib/executions.ts'
import { findRun, isCancellable, listRuns, type RunRow, readRun, statusWords } from '../../lib/ledger/runs.ts'
import { withConnection } from '../../lib/postgres/with-connection.ts'
import { sealedBackupOf } from '../../lib/run/finish/target-states.ts'
import { Outcome } from '../../lib/run/outcome.ts'
import { wouldDoOf } from '../../lib/run/words/would-do.ts'
import { exists } from '../../lib/s3/bucket.ts'
import type { Answer } from './answer.ts'
import type { Connected } from './connect.ts'
import { outcomeOf, outcomeWithoutRow } from './outcome-of.ts'
import { commandLine } from './program.ts'
import { documentOf, showOutcome } from './show-outcome.ts'
import { table } from './text.ts'

const shownRuns = 50

/** Command "runs": the newest runs, or one by its id. */
export async function showRuns({ clients }: Connected, id: string | undefined): Promise<Answer> {
  if (id !== undefined) return showById(clients, id)
  const rows = await withConnection(clients, (connection) => listRuns(connection, shownRuns))
  const text = table(rows.map(lineOf), '')
  return { document: { runs: rows.map(summaryOf) }, text: text === '' ? 'No run yet.\n' : text, code: 0 }
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
  if (row.status !== 'running') {
    const outcome = outcomeOf(row, config)
    const isDeleted = outcome.backupId !== null && !(await isThere(clients, outcome.backupId))
    const around = { plan: row.plan, environment: config.ENVIRONMENT, status: row.status, isDeleted }
    return {
      document: documentOf(outcome, row.plan),
      text: showOutcome(outcome, around) + closing(row),
      code: 0,
    }
  }
  const document = {
    ...summaryOf(row),
    progress: row.progress,
    waiting: row.waiting,
    heartbeatAt: row.heartbeatAt.toISOString(),
  }
  return { document, text: underWay(row), code: 0 }
}

/** Of a run that is over, as long as a function of it may be at work. */
export function closing({ closingUntil }: Pick<RunRow, 'closingUntil'>): string {
  return closingUntil === null
    ? ''
    : `It is closing: a function of it may be at work until ${utc(closingUntil)}; the next run can begin when that has ended.\n`
}

/** How far a run is, and whether it can be called off. */
export function underWay(row: RunRow): string {
  const title = [row.operation, row.strategy].filter(Boolean).join(' ')
  const wait = row.waiting === null ? '' : `, ${row.waiting}`
  const cancel = isCancellable(row)
    ? `It has changed nothing yet. To cancel it: ${commandLine('cancel', row.runId)}\n`
    : 'It cannot be cancelled any more.\n'
  return `Run ${row.runId} (${title}) is in "${row.phase}"${wait}.\nStarted ${utc(row.startedAt)}, last sign of life ${utc(row.heartbeatAt)}.\n${cancel}`
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

const About = z.object({
  dryRun: z.boolean().default(false),
  subject: z.object({ backupId: z.string() }).optional(),
  restore: z.object({ backupId: z.string() }).nullish(),
})

/** A run in a few words. */
export function summaryOf(row: RunRow) {
  const plan = About.safeParse(row.plan).data
  return {
    runId: row.runId,
    operation: row.operation,
    strategy: row.strategy,
    dryRun: plan?.dryRun ?? false,
    status: row.status,
    phase: row.phase,
    requestedBy: row.requestedBy,
    backupId: plan?.subject?.backupId ?? (row.status === 'running' ? row.backupId : madeBy(row)),
    restoredBackupId: plan?.restore?.backupId ?? null,
    startedAt: row.startedAt.toISOString(),
    finishedAt: row.finishedAt?.toISOString() ?? null,
    closingUntil: row.closingUntil?.toISOString() ?? null,
  }
}

/** A run in the list. */
export function lineOf(row: RunRow): string[] {
  const { startedAt, runId, operation, strategy } = row
  return [utc(startedAt), runId, operation, strategy ?? '', statusOf(row), aboutOf(row)]
}

/** A dry run succeeds in nothing: it says whether the run would be refused. */
function statusOf(row: RunRow): string {
  const words = statusWords[row.status] ?? row.status
  const status = row.closingUntil === null ? words : `${words}, closing`
  if (!summaryOf(row).dryRun) return status
  if (row.outcome === null) return `dry run, ${status}`
  const { error } = Outcome.parse(row.outcome)
  const refusal = wouldDoOf(row.plan, row.operation, error)?.refusal ?? null
  if (refusal !== null) return `dry run: would be refused (${refusal.name})`
  return error === null ? 'dry run: would not be refused' : 'dry run, failed'
}

/** The backup that it took and sealed; null: it took none, or that was never finished. */
function madeBy(row: RunRow): string | null {
  return row.outcome === null ? sealedBackupOf(row, null) : Outcome.parse(row.outcome).backupId
}

/** Which backup it made, put back, read or deleted: never one that there is not, or not yet. */
function aboutOf(row: RunRow): string {
  const { restoredBackupId, ...summary } = summaryOf(row)
  const isOnBackup = row.operation === 'verify' || row.operation === 'delete'
  const backupId = isOnBackup ? summary.backupId : madeBy(row)
  if (row.operation === 'restore') {
    const safety = backupId === null ? '' : `, safety backup ${backupId}`
    return restoredBackupId === null ? '' : `from ${restoredBackupId}${safety}`
  }
  if (!isOnBackup) return backupId ?? ''
  const { subject } = row.outcome === null ? {} : Outcome.parse(row.outcome)
  return [backupId ?? '', subject?.state.replace('_', ' ') ?? ''].filter(Boolean).join(' ')
}
