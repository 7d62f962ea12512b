import * as z from 'zod'
import { backupKeys } from '../../backup/layout.ts'
import type { Warning } from '../../backup/manifest.ts'
import { findOwnManifest } from '../../backup/read.ts'
import type { Clients } from '../../clients.ts'
import { messageOf, NotFound, RestoreIncomplete, WipeIncomplete } from '../../errors.ts'
import { lockRun, type RunRow } from '../../ledger/runs.ts'
import { lostRun } from '../../ledger/step.ts'
import { operationOf, saidAs } from '../../operations.ts'
import { storable } from '../../postgres/storable.ts'
import { withConnection } from '../../postgres/with-connection.ts'
import { cut } from '../../visible.ts'
import { endRun } from '../end.ts'
import { toleratedHooks } from '../hooks/tolerated.ts'
import { Outcome, shortened } from '../outcome.ts'
import { PlanSummary } from '../planning/plan-summary.ts'
import { refusalOfKeys } from '../words/broken-keys.ts'
import { notCompared } from '../words/not-compared.ts'
import { refusalOf } from '../words/would-do.ts'
import { findDifference } from './difference.ts'
import { errorOf } from './failure.ts'
import { namedBy, namingLeft } from './naming.ts'
import { type EndFacts, endOfStores, leftInBucket, leftInLedger, type StoresEnd } from './stores-end.ts'
import { describeSubject, type FoundSubject, findSubject } from './subject.ts'
import { sealedBackupOf } from './target-states.ts'

export const FinishInput = z.object({
  runId: z.string().min(1),
  /** What a Catch gave: the error's name, and as cause Lambda's JSON or a text. */
  error: z.object({ Error: z.string(), Cause: z.string().optional() }).optional(),
})

/** For the Fail state. */
export type Failure = { Error: string; Cause: string }

type FinishFacts = Omit<EndFacts, 'unread' | 'succeeded'> & {
  subject: FoundSubject | null
  /** null: it compared nothing, or that could not be read. */
  difference: Outcome['difference'] | null
  /** Why what lies in the bucket could not be read; then nothing that follows from it is known. */
  unread: string | null
}

/** As JSON. A message comes from a step with at most half of that, or whole from the ledger. */
const causeMaxBytes = 8000

/**
 * State "Finish": writes down what really happened, from what the steps left behind and not from where the machine got.
 * A run that never got its row (refused by a guard) only passes its error on. Repeating it keeps the first end, so
 * "Finish failed" gives a success when only the answer of "Finish" was lost.
 * @throws RunLost when a run that was taken over or cancelled would be told that it succeeded
 * @throws WipeIncomplete, RestoreIncomplete when a run without an error left something undone; "Finish failed" then ends it
 */
export async function finish(
  clients: Clients,
  input: z.output<typeof FinishInput>,
): Promise<Outcome | Failure> {
  return withConnection(clients, async (connection) => {
    await connection.query('BEGIN')
    // A wipe whose answer was lost may still be at work: its transaction ends first, or finds the run closed.
    const row = await lockRun(connection, input.runId)
    if (row === undefined && input.error === undefined)
      throw new NotFound(`There is no run ${input.runId} in the ledger, so it cannot be finished`)
    const caught = input.error === undefined ? null : errorOf(input.error, row ?? null)
    const ended = row?.outcome ? Outcome.parse(row.outcome) : null
    if (ended !== null && (caught !== null || ended.error === null)) return answer(ended)
    if (row === undefined || row.status !== 'running') {
      if (caught === null) throw lostRun(input.runId)
      return failureOf(caught)
    }
    const { found, error } = withoutComparison(await find(clients, row, caught !== null), caught)
    const end = endOfStores({ ...found, succeeded: error === null, unread: found.unread !== null })
    if (error === null) refuseShortfall(row, end)
    const { naming, warnings } = await namingLeft(connection, found.summary, error)
    end.warnings.push(...(await toleratedHooks(connection, row.runId)), ...warnings)
    const outcome = storable(describe(clients, { found, end, error }))
    await endRun(clients, connection, { outcome, named: namedBy(naming, row, outcome) })
    return answer(outcome)
  })
}

/**
 * A dry run that could not compare has planned and tried all the same what it stands for, and that reads the backup in
 * another way: what ended the comparison is a warning, and nothing is told of what differs.
 */
function withoutComparison(
  found: FinishFacts,
  error: Outcome['error'],
): { found: FinishFacts; error: Outcome['error'] } {
  const { row, summary } = found
  if (error === null || !summary?.compares || !row.phase.startsWith('Diff ')) return { found, error }
  const warnings = [...summary.warnings, notCompared(`${error.name}: ${error.message}`)]
  return { found: { ...found, summary: { ...summary, warnings }, difference: null }, error: null }
}

/** @throws WipeIncomplete, RestoreIncomplete: what was not done is a failure, whatever each step made of it */
function refuseShortfall({ runId, operation }: RunRow, { shortfalls: { wipe, restore } }: StoresEnd): void {
  if (wipe.length > 0) {
    throw new WipeIncomplete(
      `The reset ${runId} did not do all of its work: ${wipe.join('; ')}. What went is in its backup, if it took one; remove the cause, and reset again`,
    )
  }
  if (restore.length > 0) {
    throw new RestoreIncomplete(
      `The ${saidAs(operation)} ${runId} did not put back all: ${restore.join('; ')}. Remove the cause, and start it again: twice is the same as once`,
    )
  }
}

function answer(outcome: Outcome): Outcome | Failure {
  const short = shortened(outcome)
  return short.error === null ? short : failureOf(short.error)
}

function failureOf(error: { name: string; message: string }): Failure {
  return { Error: error.name, Cause: cut(error.message, causeMaxBytes, 'the ledger has all of it') }
}

/**
 * @param partly a run that failed is closed even when S3, or what another version left in the ledger, cannot be read: else it
 *   would hold the lock until it is dead
 */
async function find(clients: Clients, row: RunRow, partly: boolean): Promise<FinishFacts> {
  const nothing = leftInLedger({ ...row, wiped: null, restored: null })
  const found: FinishFacts = {
    row,
    summary: null,
    manifest: null,
    left: nothing,
    subject: null,
    difference: null,
    unread: null,
  }
  try {
    found.summary = row.plan === null ? null : PlanSummary.parse(row.plan)
    found.left = leftInLedger(row)
    return { ...found, ...(await findInBucket(clients, found, partly)) }
  } catch (error) {
    if (!partly) throw error
    return { ...found, unread: messageOf(error) }
  }
}

async function findInBucket(
  clients: Clients,
  found: FinishFacts,
  partly: boolean,
): Promise<Pick<FinishFacts, 'manifest' | 'left' | 'subject' | 'difference'>> {
  const { row, summary } = found
  const { backups, config } = clients
  const left = await leftInBucket(clients, found)
  const { backupId: own, runId } = row
  const manifest =
    own === null ? null : await findOwnManifest(backups, config.BACKUP_PREFIX, { backupId: own, runId })
  const { backupId } = summary?.subject ?? {}
  const subject =
    backupId === undefined ? null : await findSubject(backups, config.BACKUP_PREFIX, { row, backupId })
  const isCompared = row.operation === 'diff' || summary?.compares
  const difference = isCompared ? await findDifference(backups, row, partly) : null
  return { manifest, left, subject, difference }
}

function describe(
  clients: Clients,
  { found, end, error }: { found: FinishFacts; end: StoresEnd; error: Outcome['error'] },
): Outcome {
  const { row, summary, manifest } = found
  const { BACKUP_BUCKET, BACKUP_PREFIX } = clients.config
  const warnings = collectWarnings(found, end)
  const backupId = sealedBackupOf(row, manifest)
  const ofKeys = refusalOfKeys(found.difference?.database?.broken ?? [], row.operation === 'reset-to')
  return {
    runId: row.runId,
    operation: row.operation,
    strategy: row.strategy,
    ...(summary?.dryRun ? { dryRun: true, refusal: refusalOf(summary.refusal, error) ?? ofKeys } : {}),
    status: error !== null ? 'failed' : warnings.length > 0 ? 'succeeded_with_warnings' : 'succeeded',
    backupId,
    backupPrefix: backupId && `s3://${BACKUP_BUCKET}/${backupKeys(BACKUP_PREFIX, backupId).root}`,
    targets: end.targets,
    ...(summary?.restore ? putBackBy(summary.restore) : {}),
    ...(summary?.subject
      ? { subject: describeSubject(summary.subject, found.subject, { operation: row.operation, error }) }
      : {}),
    ...(error === null && found.difference !== null ? { difference: found.difference } : {}),
    warnings: row.plan === null ? [] : warnings,
    error,
    startedAt: row.startedAt.toISOString(),
    finishedAt: clients.now().toISOString(),
  }
}

function putBackBy({ backupId, to }: NonNullable<PlanSummary['restore']>): Partial<Outcome> {
  return { restoredBackupId: backupId, ...(to ? { to: { name: to, backupId } } : {}) }
}

function collectWarnings(
  { row, summary, manifest, subject, unread }: FinishFacts,
  end: StoresEnd,
): Warning[] {
  if (operationOf(row.operation)?.actsOn === 'environment') return summary?.warnings ?? []
  const foretold = [...(summary?.warnings ?? []), ...(manifest?.warnings ?? [])]
  const warnings: Warning[] = [
    ...foretold.filter(({ code }) => !end.settled.includes(code)),
    ...end.warnings,
    ...(subject?.verified?.warnings ?? []),
    ...(subject?.compared?.warnings ?? []),
  ]
  if (unread !== null) {
    const about = row.backupId ?? summary?.subject?.backupId ?? null
    warnings.push({
      code: 'BackupUnread',
      message: `${about === null ? 'How' : `What became of the backup ${about}, and how`} far the run got could not be read: ${unread}`,
    })
  }
  return [...new Map(warnings.map((one) => [`${one.code} ${one.message}`, one])).values()]
}
