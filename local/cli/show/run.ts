import * as z from 'zod'
import { utc } from '../../../lib/amounts.ts'
import type { Run } from '../../../lib/http/answers/run.ts'
import { isCancellable, type RunRow } from '../../../lib/ledger/runs.ts'
import { statusWords } from '../../../lib/ledger/status.ts'
import { operationOf, saidAs } from '../../../lib/operations.ts'
import { sealedBackupOf } from '../../../lib/run/finish/target-states.ts'
import { Outcome } from '../../../lib/run/outcome.ts'
import { wouldDoOf } from '../../../lib/run/words/would-do.ts'
import { commandLine } from '../program.ts'
import { seconds, table } from './table.ts'

/** Of a run that is over, as long as a function of it may be at work. */
export function closing({ closingUntil }: Pick<RunRow, 'closingUntil'>): string {
  return closingUntil === null
    ? ''
    : `It is closing: a function of it may be at work until ${utc(closingUntil)}; the next run can begin when that has ended.\n`
}

/** How far a run is, and whether it can be called off. */
export function underWay(row: RunRow): string {
  const title = whatOf(row)
  const wait = row.waiting === null ? '' : `, ${row.waiting}`
  const cancel = isCancellable(row)
    ? `It has changed nothing yet. To cancel it: ${commandLine('cancel', row.runId)}\n`
    : 'It cannot be cancelled any more.\n'
  return `Run ${row.runId} (${title}) is in "${row.phase}"${wait}.\nStarted ${utc(row.startedAt)}, last sign of life ${utc(row.heartbeatAt)}.\n${cancel}`
}

/** How long each step took, in their order. */
export function stepTimes(steps: Run['steps'], isAtWork = false): string {
  const begun = Object.entries(steps ?? {}).sort(([, one], [, other]) => (one.from < other.from ? -1 : 1))
  if (begun.length === 0) return ''
  const open = isAtWork ? 'at work' : 'did not end'
  const lines = begun.map(([name, { from, to }]) => [
    name,
    to === null ? open : seconds(Date.parse(to) - Date.parse(from)),
  ])
  return `\n${table(lines)}`
}

const About = z.object({
  dryRun: z.boolean().default(false),
  subject: z.object({ backupId: z.string() }).optional(),
  restore: z.object({ backupId: z.string(), to: z.string().nullish() }).nullish(),
})

/** `reset full to baseline` */
function whatOf(row: RunRow): string {
  const to = About.safeParse(row.plan).data?.restore?.to
  return [saidAs(row.operation), row.strategy, to && `to ${to}`].filter(Boolean).join(' ')
}

/** A run in a few words. */
export function runDocument(row: RunRow) {
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
    to: plan?.restore?.to ?? null,
    startedAt: row.startedAt.toISOString(),
    finishedAt: row.finishedAt?.toISOString() ?? null,
    closingUntil: row.closingUntil?.toISOString() ?? null,
  }
}

/** A run in the list. */
export function runLine(row: RunRow): string[] {
  const { startedAt, runId, operation, strategy } = row
  return [utc(startedAt), runId, saidAs(operation), strategy ?? '', statusOf(row), aboutOf(row)]
}

/** A dry run succeeds in nothing: it says whether the run would be refused. */
function statusOf(row: RunRow): string {
  const words = statusWords[row.status] ?? row.status
  const status = row.closingUntil === null ? words : `${words}, closing`
  if (!runDocument(row).dryRun) return status
  if (row.outcome === null) return `dry run, ${status}`
  const { error, refusal: told = null } = Outcome.parse(row.outcome)
  const refusal = wouldDoOf(row.plan, row.operation, error ?? told)?.refusal ?? null
  if (refusal !== null) return `dry run: would be refused (${refusal.name})`
  return error === null ? 'dry run: would not be refused' : 'dry run, failed'
}

/** The backup that it took and sealed; null: it took none, or that was never finished. */
function madeBy(row: RunRow): string | null {
  return row.outcome === null ? sealedBackupOf(row, null) : Outcome.parse(row.outcome).backupId
}

/** Which backup it made, put back, read or deleted: never one that there is not, or not yet. */
function aboutOf(row: RunRow): string {
  const { restoredBackupId, to, ...summary } = runDocument(row)
  const known = operationOf(row.operation)
  const isOnBackup = known?.actsOn === 'backup'
  const backupId = isOnBackup ? summary.backupId : madeBy(row)
  if (known?.changes === 'replaced') {
    const safety = backupId === null ? '' : `, safety backup ${backupId}`
    const from = to === null ? `from ${restoredBackupId}` : `to ${to} (${restoredBackupId})`
    return restoredBackupId === null ? '' : `${from}${safety}`
  }
  if (!isOnBackup) return backupId ?? ''
  const { subject } = row.outcome === null ? {} : Outcome.parse(row.outcome)
  return [backupId ?? '', subject?.state.replace('_', ' ') ?? ''].filter(Boolean).join(' ')
}
