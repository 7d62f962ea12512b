import { DrizzleQueryError } from 'drizzle-orm'
import * as z from 'zod'
import { agreeing, counted } from '../../amounts.ts'
import { findResult } from '../../backup/documents/results.ts'
import { backupKeys, workKeys } from '../../backup/layout.ts'
import type { Manifest, Warning } from '../../backup/manifest.ts'
import { findOwnManifest } from '../../backup/read.ts'
import { CacheWiped } from '../../cache/wipe/wipe.ts'
import type { Clients } from '../../clients.ts'
import { staleViews, warnOfStaleViews } from '../../database/outcome.ts'
import { DatabaseWiped } from '../../database/wipe/wipe.ts'
import { messageOf, NotFound, RestoreIncomplete, WipeIncomplete } from '../../errors.ts'
import { messageOfCause } from '../../executions/cause.ts'
import { FilesWiped } from '../../files/wipe.ts'
import { closeRun } from '../../ledger/records.ts'
import { lockRun, type RunRow } from '../../ledger/runs.ts'
import { lostRun } from '../../ledger/step.ts'
import type { Connection } from '../../postgres/connection.ts'
import { sqlStateOf } from '../../postgres/errors.ts'
import { storable } from '../../postgres/storable.ts'
import { withConnection } from '../../postgres/with-connection.ts'
import { type Target, targets, toldOf } from '../../store.ts'
import { cut, Outcome, reduced, shortened } from '../outcome.ts'
import { Refusal, refusalOf } from '../words/would-do.ts'
import {
  describeRestored,
  findRestored,
  type Restored,
  RestoreSummary,
  restoredInLedger,
  shortfallOfRestore,
  warningsOfRestored,
} from './restore-results.ts'
import { describeSubject, type FoundSubject, findSubject, SubjectSummary } from './subject.ts'
import { sealedBackupOf, statesOf } from './target-states.ts'

export const FinishInput = z.object({
  runId: z.string().min(1),
  /** What a Catch gave: the error's name, and as cause Lambda's JSON or a text. */
  error: z.object({ Error: z.string(), Cause: z.string().optional() }).optional(),
})

/** For the Fail state. */
export type Failure = { Error: string; Cause: string }

/** What the ledger's summary of a plan must say for the outcome. */
const Summary = z.object({
  clears: z.array(z.enum(targets)),
  dryRun: z.boolean(),
  refusal: Refusal.nullish(),
  files: z.object({ batches: z.number() }).nullable(),
  database: z
    .object({ views: z.array(z.string()).default([]) })
    .nullable()
    .default(null),
  restore: RestoreSummary.nullable(),
  subject: SubjectSummary.optional(),
  warnings: z.array(z.object({ code: z.string(), message: z.string() })),
})
type Summary = z.output<typeof Summary>

type Found = {
  row: RunRow
  summary: Summary | null
  manifest: Manifest | null
  database: DatabaseWiped | null
  files: FilesWiped[]
  cache: CacheWiped | null
  restored: Restored | null
  subject: FoundSubject | null
  /** Why what lies in S3 could not be read; then nothing that follows from it is known. */
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
    const error = input.error === undefined ? null : errorOf(input.error, row ?? null)
    const ended = row?.outcome ? Outcome.parse(row.outcome) : null
    if (ended !== null && (error !== null || ended.error === null)) return answer(ended)
    if (row === undefined || row.status !== 'running') {
      if (error === null) throw lostRun(input.runId)
      return failureOf(error)
    }
    const found = await find(clients, row, error !== null)
    if (error === null) refuseShortfall(found)
    const outcome = storable(describe(clients, found, error))
    await closeWith(connection, outcome)
    await connection.query('COMMIT')
    return answer(outcome)
  })
}

/** Whatever an outcome holds, a run must end, or it would hold the lock: then with what is short and certain of it. */
async function closeWith(connection: Connection, outcome: Outcome): Promise<void> {
  const close = (written: Outcome) =>
    closeRun(connection, {
      runId: outcome.runId,
      status: written.status,
      outcome: written,
      finishedAt: new Date(written.finishedAt),
    })
  await connection.query('SAVEPOINT before_outcome')
  try {
    await close(outcome)
  } catch (refused) {
    // Classes 22, 23 and 54: the ledger can be written, but not with this.
    if (!/^(22|23|54)/.test(sqlStateOf(refused instanceof DrizzleQueryError ? refused.cause : refused) ?? ''))
      throw refused
    await connection.query('ROLLBACK TO before_outcome')
    await close(reduced(outcome, messageOf(refused)))
  }
}

/** @throws WipeIncomplete, RestoreIncomplete: what was not done is a failure, whatever each step made of it */
function refuseShortfall({ row, files, cache, restored }: Found): void {
  const failures = files.reduce((sum, wiped) => sum + wiped.failures, 0)
  const left = [
    ...(failures > 0 ? [`${counted(failures, 'file')} could not be deleted${exampleOf(files)}`] : []),
    ...(cache !== null && cache.left > 0
      ? [`${counted(cache.left, 'cache key')} ${agreeing(cache.left, 'is', 'are')} still there`]
      : []),
  ]
  if (left.length > 0) {
    throw new WipeIncomplete(
      `The reset ${row.runId} did not do all of its work: ${left.join('; ')}. What went is in its backup, if it took one; remove the cause, and reset again`,
    )
  }
  const shortfall = restored === null ? null : shortfallOfRestore(restored)
  if (shortfall !== null) {
    throw new RestoreIncomplete(
      `The restore ${row.runId} did not do all of its work: ${shortfall}. Remove the cause, and restore again: twice is the same as once`,
    )
  }
}

function exampleOf(files: readonly FilesWiped[]): string {
  const [first] = files.flatMap((wiped) => wiped.failed)
  return first === undefined ? '' : ` (for example ${first.key}: ${first.code})`
}

function answer(outcome: Outcome): Outcome | Failure {
  const short = shortened(outcome)
  return short.error === null ? short : failureOf(short.error)
}

function failureOf(error: { name: string; message: string }): Failure {
  return { Error: error.name, Cause: cut(error.message, causeMaxBytes, 'the ledger has all of it') }
}

function errorOf(
  caught: { Error: string; Cause?: string | undefined },
  row: RunRow | null,
): { name: string; message: string } {
  const cause = caught.Cause ?? ''
  if (caught.Error === 'States.ExceedToleratedFailureThreshold' && row !== null) {
    return errorOfBatch(row, { name: caught.Error, cause })
  }
  return { name: caught.Error, message: messageOfCause(cause) }
}

/** A Distributed Map says only that children failed; the ledger knows which error it was. */
function errorOfBatch(row: RunRow, { name, cause }: { name: string; cause: string }) {
  const noted = z.object({ error: z.string(), message: z.string() }).safeParse(row.failure)
  if (noted.success) return { name: noted.data.error, message: noted.data.message }
  if (row.status !== 'running') {
    const lost = lostRun(row.runId)
    return { name: lost.name, message: lost.message }
  }
  return {
    name,
    message: `A batch of the step "${row.phase}" ended without saying why: its function crashed, or ran out of time or memory (${cause}). Look at the failed children of the Map, then start again`,
  }
}

/**
 * @param partly a run that failed is closed even when S3, or what another version left in the ledger, cannot be read: else it
 *   would hold the lock until it is dead
 */
async function find(clients: Clients, row: RunRow, partly: boolean): Promise<Found> {
  const found: Found = {
    ...{ row, summary: null, manifest: null, database: null, files: [], cache: null, restored: null },
    ...{ subject: null, unread: null },
  }
  try {
    found.summary = row.plan === null ? null : Summary.parse(row.plan)
    found.database = row.wiped === null ? null : DatabaseWiped.parse(row.wiped)
    found.restored = found.summary?.restore ? restoredInLedger(row, found.summary.restore) : null
    return { ...found, ...(await findInS3(clients, row, found.summary)) }
  } catch (error) {
    if (!partly) throw error
    return { ...found, unread: messageOf(error) }
  }
}

async function findInS3(
  clients: Clients,
  row: RunRow,
  summary: Summary | null,
): Promise<Pick<Found, 'manifest' | 'files' | 'cache' | 'restored' | 'subject'>> {
  const storage = clients.backups
  const work = workKeys(row)
  const files: FilesWiped[] = []
  for (let batch = 0; batch < (summary?.files?.batches ?? 0); batch++) {
    const wiped = await findResult(storage, work.filesWiped(batch), FilesWiped)
    if (wiped !== undefined) files.push(wiped.result)
  }
  const { backupId: own, runId } = row
  const manifest =
    own === null
      ? null
      : await findOwnManifest(storage, clients.config.BACKUP_PREFIX, { backupId: own, runId })
  const cache = summary?.clears.includes('cache')
    ? await findResult(storage, work.cacheWiped, CacheWiped)
    : undefined
  const restored = summary?.restore ? await findRestored(storage, row, summary.restore) : null
  const { backupId } = summary?.subject ?? {}
  const subject =
    backupId === undefined
      ? null
      : await findSubject(storage, clients.config.BACKUP_PREFIX, { row, backupId })
  return { manifest, files, cache: cache?.result ?? null, restored, subject }
}

function describe(clients: Clients, found: Found, error: Outcome['error']): Outcome {
  const { row, summary, manifest, database, files, cache, restored, unread } = found
  const states = statesOf({
    ...{ row, manifest, files, cache, unread, succeeded: error === null },
    // What cannot be understood may have been about any of them.
    clears: summary?.clears ?? (row.plan === null ? [] : targets),
    dryRun: summary?.dryRun ?? false,
    batches: summary === null && row.plan !== null ? null : (summary?.files?.batches ?? 0),
  })
  const warnings = collectWarnings(found)
  const sum = (pick: (wiped: FilesWiped) => number) => files.reduce((total, wiped) => total + pick(wiped), 0)
  const held = <Held>(target: Target, of: (manifest: Manifest) => Held): Held | undefined =>
    states[target] === 'backed_up' && manifest !== null ? of(manifest) : undefined
  const before: Outcome['targets'] = {
    database: {
      state: states.database,
      rows: database?.rows ?? held('database', ({ database }) => database?.rows) ?? 0,
      tables:
        database?.tables ??
        Object.fromEntries(
          (held('database', ({ database }) => database?.tables) ?? []).map(({ name, rows }) => [name, rows]),
        ),
    },
    files: {
      state: states.files,
      objects: held('files', ({ files }) => files?.objects) ?? sum(({ objects }) => objects),
      bytes: held('files', ({ files }) => files?.bytes) ?? sum(({ bytes }) => bytes),
    },
    cache: {
      state: states.cache,
      // Of a wipe that broke off: what it told, never what the backup holds.
      keys: cache?.keys ?? held('cache', ({ cache }) => cache?.keys) ?? toldOf(row, 'Wipe cache'),
    },
  }
  const backupId = sealedBackupOf(row, manifest)
  return {
    runId: row.runId,
    operation: row.operation,
    strategy: row.strategy,
    ...(summary?.dryRun ? { dryRun: true, refusal: refusalOf(summary.refusal, error) } : {}),
    status: error !== null ? 'failed' : warnings.length > 0 ? 'succeeded_with_warnings' : 'succeeded',
    backupId,
    backupPrefix:
      backupId &&
      `s3://${clients.config.BACKUP_BUCKET}/${backupKeys(clients.config.BACKUP_PREFIX, backupId).root}`,
    targets: restored === null ? before : describeRestored(restored, row, before),
    ...(summary?.restore ? { restoredBackupId: summary.restore.backupId } : {}),
    ...(summary?.subject
      ? { subject: describeSubject(summary.subject, found.subject, { operation: row.operation, error }) }
      : {}),
    warnings: row.plan === null ? [] : warnings,
    error,
    startedAt: row.startedAt.toISOString(),
    finishedAt: clients.now().toISOString(),
  }
}

function collectWarnings({
  row,
  summary,
  manifest,
  database,
  files,
  cache,
  restored,
  subject,
  unread,
}: Found): Warning[] {
  const changed = database ?? restored?.database ?? null
  const isKnown = ({ code }: Warning) => code === staleViews && changed !== null
  const warnings: Warning[] = [
    ...[...(summary?.warnings ?? []), ...(manifest?.warnings ?? [])].filter((one) => !isKnown(one)),
    ...warnOfStaleViews(summary?.database?.views ?? [], changed),
    ...(cache?.warnings ?? []),
    ...(restored === null ? [] : warningsOfRestored(restored)),
    ...(subject?.verified?.warnings ?? []),
    ...(subject?.compared?.warnings ?? []),
  ]
  const add = (code: string, count: number, message: string) => {
    if (count > 0) warnings.push({ code, message })
  }
  const before = row.backupId === null ? 'the count' : 'the backup'
  const appeared = database?.appeared ?? []
  add('TablesAppeared', appeared.length, `Created since ${before}, so not wiped: ${appeared.join(', ')}`)
  const changedLater = files.reduce((sum, wiped) => sum + wiped.changed, 0)
  add(
    'FilesChangedLater',
    changedLater,
    `${counted(changedLater, 'file')} changed after ${before}, and ${agreeing(changedLater, 'was', 'were')} not deleted`,
  )
  const came = files.reduce((sum, wiped) => sum + wiped.appeared, 0)
  add(
    'FilesAppeared',
    came,
    `${counted(came, 'file')} came after ${before}, and ${agreeing(came, 'was', 'were')} not deleted`,
  )
  const failures = files.reduce((sum, wiped) => sum + wiped.failures, 0)
  add('FilesNotDeleted', failures, `${counted(failures, 'file')} could not be deleted${exampleOf(files)}`)
  if (unread !== null) {
    const about = row.backupId ?? summary?.subject?.backupId ?? null
    warnings.push({
      code: 'BackupUnread',
      message: `${about === null ? 'How' : `What became of the backup ${about}, and how`} far the run got could not be read: ${unread}`,
    })
  }
  const byText = new Map(warnings.map((warning) => [`${warning.code} ${warning.message}`, warning]))
  return row.operation === 'claim' ? (summary?.warnings ?? []) : [...byText.values()]
}
