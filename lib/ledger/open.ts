import { and, eq, type SQL, sql } from 'drizzle-orm'
import { utc } from '../amounts.ts'
import { IdempotencyConflict, RunActive, RunLost } from '../errors.ts'
import { isOneStep, saidAs } from '../operations.ts'
import type { Connection } from '../postgres/connection.ts'
import { storable } from '../postgres/storable.ts'
import { aliveUntil, forgetDeadInvocations } from './invocations.ts'
import { abandonedAfterMinutes, isAbandoned } from './records.ts'
import { findRun, isCancellable, type RunRow, selectRuns } from './runs.ts'
import { runs } from './schema.ts'
import { statusWords } from './status.ts'
import { checkRunning, repeatedStep, stepBegun, stepEnded } from './step.ts'
import { ensureLedger, isCurrent, ledger, tablesOf } from './tables.ts'

export type NewRun = Pick<
  RunRow,
  'runId' | 'operation' | 'strategy' | 'requestedBy' | 'idempotencyKey' | 'requestDigest'
> & { startedAt: Date; targetBackupId?: string | null }

/** Which Count it is that plans: of several invocations for one attempt only the latest may. */
export type Counting = { attempt: number; invocation: string }

/**
 * Takes the lock by inserting the run's row. Repeating it for the same run is harmless. A ledger of an earlier version is
 * brought up to date first.
 * @returns `opened`, or the first run that used the same idempotency key
 * @throws RunActive when another run holds the lock, or is over and closing; one whose heartbeat stopped has to be marked
 *   `abandoned` before
 * @throws IdempotencyConflict when the key was used for another request
 * @throws RunLost when the run is over, or a later Count has planned it and its steps are at work; or another Count found
 *   that the request is about another backup, because a name has come to mean another one in between
 */
export async function openRun(
  connection: Connection,
  wanted: NewRun,
  counting: Counting,
): Promise<{ opened: true } | { repeats: RunRow }> {
  const run = storable(wanted)
  const earlier = await repeatedBy(connection, run)
  if (earlier !== undefined) return { repeats: earlier }
  await bringUpToDate(connection, run)
  await forgetDeadInvocations(connection)
  await insertRun(connection, run)
  const own = await findRun(connection, run.runId)
  if (own?.status === 'running') {
    if (own.targetBackupId !== null && own.targetBackupId !== run.targetBackupId)
      throw repeatedStep(run.runId)
    await beginCount(connection, run.runId, counting)
    return { opened: true }
  }
  if (own !== undefined) throw endedRun(own)
  const first = await repeatedBy(connection, run) // it may have come in at the same moment
  if (first !== undefined) return { repeats: first }
  const [active] = await selectRuns(connection, `WHERE status = 'running'`)
  if (active !== undefined) throw activeError(active)
  return openRun(connection, wanted, counting) // the run that was in the way ended in between
}

/**
 * A sign of life, for "Count again" comes after a step that may have taken long; from here on no earlier Count may plan,
 * and no step of an earlier attempt finds a plan.
 */
async function beginCount(
  connection: Connection,
  runId: string,
  { attempt, invocation }: Counting,
): Promise<void> {
  const begun = await ledger(connection)
    .update(runs)
    .set({
      phase: 'Count',
      waiting: null,
      attempt,
      planDigest: sql`CASE WHEN ${runs.attempt} = ${attempt} THEN ${runs.planDigest} END`,
      latestInvocation: invocation,
      steps: stepBegun('Count'),
      heartbeatAt: sql`now()`,
    })
    .where(and(eq(runs.runId, runId), eq(runs.status, 'running'), mayCount(attempt)))
    .returning({ runId: runs.runId })
  if (begun.length > 0) return
  await checkRunning(connection, runId)
  throw repeatedStep(runId)
}

/** An attempt is counted until its steps go by a plan; a Count that comes then was given up, and has woken up late. */
function mayCount(attempt: number): SQL {
  return sql`(${runs.attempt} < ${attempt} OR (${runs.attempt} = ${attempt} AND (${runs.planDigest} IS NULL OR ${runs.phase} = 'Count')))`
}

/**
 * Keeps what Count decided, and the digest of the plan as it lies in S3; null: a dry run, which leaves none there.
 * @throws RunLost when the row is no longer this run's, or a later Count has begun: the steps get their batches from that
 *   one, and must find its plan
 */
export async function recordPlan(
  connection: Connection,
  run: Counting & { runId: string; backupId: string | null; plan: unknown; planDigest: string | null },
): Promise<void> {
  const { runId, invocation, ...set } = run
  const isOurs = and(mayCount(run.attempt), eq(runs.latestInvocation, invocation))
  const updated = await ledger(connection)
    .update(runs)
    .set({ ...storable(set), progress: {}, steps: stepEnded('Count'), heartbeatAt: sql`now()` })
    .where(and(eq(runs.runId, runId), eq(runs.status, 'running'), isOurs))
    .returning({ runId: runs.runId })
  if (updated.length > 0) return
  await checkRunning(connection, runId)
  throw repeatedStep(runId)
}

/**
 * Inserts the row unless another is in the way. Whether a run is closing is asked when the row is there: until then
 * another run could begin and end, and leave an invocation that nobody would look for any more.
 */
async function insertRun(connection: Connection, run: NewRun): Promise<void> {
  await connection.query('BEGIN')
  try {
    const inserted = await ledger(connection)
      .insert(runs)
      .values({ ...run, status: 'running', phase: 'Count' })
      .onConflictDoNothing()
      .returning({ runId: runs.runId })
    const [closing] = inserted.length === 0 ? [] : await selectRuns(connection, isClosing)
    if (closing !== undefined) throw closingError(closing)
    await connection.query('COMMIT')
  } catch (error) {
    await connection.query('ROLLBACK').catch(() => {}) // a connection that broke has rolled back by itself
    throw error
  }
}

/** A run at work would wait behind a change of its tables: only when none is. */
async function bringUpToDate(connection: Connection, { runId }: NewRun): Promise<void> {
  if (await isCurrent(connection)) return
  const [active] = await selectRuns(
    connection,
    `WHERE status = 'running' AND run_id <> $1 AND NOT ${isAbandoned}`,
    [runId],
  )
  if (active !== undefined) throw activeError(active)
  await ensureLedger(connection)
}

/** Whether a run could take the lock now; who wants to be sure takes it. @throws RunActive */
export async function checkIdle(connection: Connection): Promise<void> {
  const has = await tablesOf(connection)
  if (!has.runs) return
  const [active] = await selectRuns(connection, `WHERE status = 'running' AND NOT ${isAbandoned}`)
  if (active !== undefined) throw activeError(active)
  const [closing] = has.invocations ? await selectRuns(connection, isClosing) : []
  if (closing !== undefined) throw closingError(closing)
}

const isClosing = `WHERE status <> 'running' AND ${aliveUntil} IS NOT NULL LIMIT 1`

/** Another run that had the same idempotency key and said the same. */
async function repeatedBy(connection: Connection, run: NewRun): Promise<RunRow | undefined> {
  if (run.idempotencyKey === null) return undefined
  const [row] = await selectRuns(connection, 'WHERE idempotency_key = $1', [run.idempotencyKey])
  if (row === undefined || row.runId === run.runId || row.requestDigest === run.requestDigest) {
    return row?.runId === run.runId ? undefined : row
  }
  throw new IdempotencyConflict(
    `The idempotency key ${run.idempotencyKey} was used by run ${row.runId} for another request. Use a new key, or send that request unchanged`,
  )
}

function activeError(run: RunRow): RunActive {
  const { runId, operation, phase, startedAt, waiting } = run
  const where = waiting === null ? phase : `${phase}: ${waiting}`
  const wayOut = isCancellable(run)
    ? 'It has changed nothing yet: wait for it, or cancel it'
    : isOneStep(operation)
      ? 'Wait for it'
      : 'Wait for it: it changes what it acts on, or is about to, and cannot be cancelled any more'
  return new RunActive(
    runId,
    `Run ${runId} (${saidAs(operation)}, in ${where}) is active since ${utc(startedAt)}. ${wayOut}; a dead run is taken over ${abandonedAfterMinutes} minutes after its last sign of life`,
  )
}

function closingError({ runId, operation, phase, closingUntil }: RunRow): RunActive {
  return new RunActive(
    runId,
    `Run ${runId} (${saidAs(operation)}, last in ${phase}) has ended, but an invocation of it may be alive until ${closingUntil && utc(closingUntil)} and could still change a store or seal a backup. The next run can begin then, or as soon as that invocation has ended`,
    closingUntil,
  )
}

/**
 * An execution that is started, or redriven, under the name of a run that is over.
 * @see docs/decisions.md#a-redriven-execution-does-not-bring-its-run-back
 */
function endedRun({ runId, status }: RunRow): RunLost {
  return new RunLost(
    `Run ${runId} is over (${statusWords[status] ?? status}). An execution that is redriven does not bring its run back: start a new run`,
  )
}
