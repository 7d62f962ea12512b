import { and, eq, getTableColumns, getTableName, type SQL, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/neon-serverless'
import { utc } from '../amounts.ts'
import { EnvironmentUnclaimed, IdempotencyConflict, NotFound, RunActive, RunLost } from '../errors.ts'
import type { Connection } from '../postgres/connection.ts'
import { statusWords } from '../run/words/outcome.ts'
import { aliveUntil, forgetDeadInvocations } from './invocations.ts'
import { createLedger, environment, invocations, runs, tokens } from './schema.ts'
import { storable } from './storable.ts'

/** A run whose heartbeat is older than this is dead: the next one takes over. */
export const abandonedAfterMinutes = 20

export type RunRow = typeof runs.$inferSelect & {
  /** Of a run that is over: until when an invocation of it may be alive, and no other run begins; null: none is. */
  closingUntil: Date | null
}
export type NewRun = Pick<
  RunRow,
  'runId' | 'operation' | 'strategy' | 'requestedBy' | 'idempotencyKey' | 'requestDigest'
> & { startedAt: Date }

/** What a step tells about itself while it works, keyed `<step>/<batch>` in the ledger. */
export type Progress = Record<string, { done: number; total: number }>

/** Which Count it is that plans: of several invocations for one attempt only the latest may. */
export type Counting = { attempt: number; invocation: string }

const ledger = (connection: Connection) => drizzle({ client: connection })

/** Creates the ledger's schema and tables, or brings those of an earlier version up to date. */
export async function ensureLedger(connection: Connection): Promise<void> {
  if (await isCurrent(connection)) return
  // Two that do it at once would trip over each other; and whoever uses the ledger does not wait long for a change of it.
  await connection.query(
    `SET LOCAL lock_timeout = '5s'; SELECT pg_advisory_xact_lock(${ledgerLock}); ${createLedger}`,
  )
}

/** Any number that nobody else in the database uses for an advisory lock. */
const ledgerLock = 7_231_984_652_001

/** Whether nothing of the ledger is missing: a look, without the locks that changing a table takes. */
async function isCurrent(connection: Connection): Promise<boolean> {
  const wanted = [environment, runs, invocations, tokens].flatMap((table) =>
    Object.values(getTableColumns(table)).map(({ name }) => `${getTableName(table)}.${name}`),
  )
  const found = await connection.query(
    `SELECT count(*)::int AS columns FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
     JOIN pg_namespace AS n ON n.oid = c.relnamespace
     WHERE n.nspname = 'taskmaster_reset' AND NOT a.attisdropped AND c.relname || '.' || a.attname = ANY ($1)`,
    [wanted],
  )
  return found.rows[0]?.columns === wanted.length
}

/** The environment's row, or undefined when the database was never claimed. */
export async function readEnvironment(
  connection: Connection,
): Promise<{ name: string; protected: boolean } | undefined> {
  if (!(await hasLedger(connection))) return undefined
  const [row] = await ledger(connection).select().from(environment)
  return row && { name: row.name, protected: row.protected }
}

/** Writes the environment's row; an existing row of the same name gets the new protection. */
export async function writeEnvironment(
  connection: Connection,
  row: { name: string; protected: boolean },
): Promise<void> {
  await ledger(connection)
    .insert(environment)
    .values(row)
    .onConflictDoUpdate({
      target: environment.one,
      set: { protected: row.protected },
      setWhere: eq(environment.name, row.name),
    })
}

/**
 * Takes the lock by inserting the run's row. Repeating it for the same run is harmless. A ledger of an earlier version is
 * brought up to date first.
 * @returns `opened`, or the first run that used the same idempotency key; one that is dead is `abandoned` by then
 * @throws RunActive when another run holds the lock, or is over and closing; one whose heartbeat stopped is marked
 *   `abandoned` first
 * @throws IdempotencyConflict when the key was used for another request
 * @throws RunLost when the run is over, or a later Count has planned it and its steps are at work
 */
export async function openRun(
  connection: Connection,
  wanted: NewRun,
  counting: Counting,
): Promise<{ opened: true } | { repeats: RunRow }> {
  const run = storable(wanted)
  await abandonDeadRun(connection)
  const earlier = await repeatedBy(connection, run)
  if (earlier !== undefined) return { repeats: earlier }
  await bringUpToDate(connection, run)
  await forgetDeadInvocations(connection)
  await insertRun(connection, run)
  const own = await findRun(connection, run.runId)
  if (own?.status === 'running') {
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
 * Marks the run that holds the lock `abandoned` when its heartbeat has stopped, also for whoever repeats the request that
 * began it: a dead run must not be answered as one that is under way.
 */
export async function abandonDeadRun(connection: Connection): Promise<void> {
  if (!(await hasLedger(connection))) return
  await ledger(connection)
    .update(runs)
    .set({ status: 'abandoned', finishedAt: sql`now()` })
    .where(and(eq(runs.status, 'running'), sql.raw(isAbandoned)))
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

const isAbandoned = `heartbeat_at < now() - interval '${abandonedAfterMinutes} minutes'`

const isClosing = `WHERE status <> 'running' AND ${aliveUntil} IS NOT NULL LIMIT 1`

function activeError(run: RunRow): RunActive {
  const { runId, operation, phase, startedAt, waiting } = run
  const where = waiting === null ? phase : `${phase}: ${waiting}`
  const wayOut = isCancellable(run)
    ? 'It has changed nothing yet: wait for it, or cancel it'
    : operation === 'claim'
      ? 'Wait for it'
      : 'Wait for it: it changes what it acts on, or is about to, and cannot be cancelled any more'
  return new RunActive(
    runId,
    `Run ${runId} (${operation}, in ${where}) is active since ${utc(startedAt)}. ${wayOut}; a dead run is taken over ${abandonedAfterMinutes} minutes after its last sign of life`,
  )
}

function closingError({ runId, operation, phase, closingUntil }: RunRow): RunActive {
  return new RunActive(
    runId,
    `Run ${runId} (${operation}, last in ${phase}) has ended, but an invocation of it may be alive until ${closingUntil && utc(closingUntil)} and could still change a store. The next run can begin then, or as soon as that invocation has ended`,
    closingUntil,
  )
}

/**
 * Whether the run has changed something, or may be about to: it cannot be left as if it had never begun. A step that
 * changes may still be waiting for its locks.
 */
function hasBegunToChange({
  phase,
  waiting,
  wiped,
  restored,
}: Pick<RunRow, 'phase' | 'waiting' | 'wiped' | 'restored'>): boolean {
  return (changing.test(phase) && waiting === null) || wiped !== null || restored !== null
}

/** Whether a run is under way and has changed nothing yet. A claim is one step, which is over when the row is there. */
export function isCancellable(run: RunRow): boolean {
  return run.status === 'running' && run.operation !== 'claim' && !hasBegunToChange(run)
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
    .set({ ...storable(set), progress: {}, heartbeatAt: sql`now()` })
    .where(and(eq(runs.runId, runId), eq(runs.status, 'running'), isOurs))
    .returning({ runId: runs.runId })
  if (updated.length > 0) return
  await checkRunning(connection, runId)
  throw repeatedStep(runId)
}

/** The steps after which a run cannot be left as if it had never begun. */
export const changing = /^(Wipe|Restore|Delete)( |$)/

/**
 * A sign of life: phase, heartbeat and progress. Once something is being changed, only such steps, and Count, which takes
 * a stale plan back, move the phase: a straggler of an earlier step must not make it look as if nothing had begun. A
 * failure that the same step noted before is forgotten: it is being repeated.
 * @param run `waits`: the step begins by waiting, and changes nothing until it says so; `latestInvocation`: from here on no
 *   earlier one of the step may act
 * @returns the run's fencing number
 * @throws RunLost when the row is no longer this run's
 */
export async function touchRun(
  connection: Connection,
  run: {
    runId: string
    phase: string
    batch?: number
    progress?: Progress
    waits?: boolean
    latestInvocation?: string
  },
): Promise<number> {
  const step = sql`${JSON.stringify(stepOf(run))}::jsonb`
  const stays = sql`(${runs.phase} ~ ${changing.source} AND ${run.phase !== 'Count' && !changing.test(run.phase)})`
  const updated = await ledger(connection)
    .update(runs)
    .set({
      phase: sql`CASE WHEN ${stays} THEN ${runs.phase} ELSE ${run.phase} END`,
      waiting: sql`CASE WHEN ${stays} THEN ${runs.waiting} WHEN ${run.waits ?? false} THEN 'waiting for locks' WHEN ${runs.phase} = ${run.phase} THEN ${runs.waiting} END`,
      heartbeatAt: sql`now()`,
      progress: sql`${runs.progress} || ${JSON.stringify(run.progress ?? {})}::jsonb`,
      ...(run.latestInvocation === undefined ? {} : { latestInvocation: run.latestInvocation }),
      failure: sql`CASE WHEN ${runs.failure} @> ${step} THEN NULL ELSE ${runs.failure} END`,
    })
    .where(and(eq(runs.runId, run.runId), eq(runs.status, 'running')))
    .returning({ fence: runs.fence })
  if (updated[0] === undefined) throw lostRun(run.runId)
  return updated[0].fence
}

/** Says what the run's step waits for before it changes anything. @throws RunLost when the row is no longer this run's */
export async function noteWaiting(connection: Connection, runId: string, waiting: string): Promise<void> {
  await setWaiting(connection, runId, waiting)
}

/** Says that the step begins to change: from here on the run cannot be cancelled. @throws RunLost as noteWaiting does */
export async function noteGranted(connection: Connection, runId: string): Promise<void> {
  await setWaiting(connection, runId, null)
}

/**
 * Only the database's tables are waited for. Once their change is recorded nothing is: an invocation that wakes up late
 * must not make the wipe or restore of files or cache look as if it had not begun.
 */
async function setWaiting(connection: Connection, runId: string, waiting: string | null): Promise<void> {
  const text = storable(waiting)
  const updated = await ledger(connection)
    .update(runs)
    .set({
      waiting: sql`CASE WHEN ${runs.wiped} IS NULL AND ${runs.restored} IS NULL THEN ${text}::text END`,
      heartbeatAt: sql`now()`,
    })
    .where(and(eq(runs.runId, runId), eq(runs.status, 'running')))
    .returning({ runId: runs.runId })
  if (updated.length === 0) throw lostRun(runId)
}

/**
 * Whether the run still holds the lock.
 * @param invocation of a step of which only the latest one may act
 * @throws RunLost when the row is no longer this run's, or a later invocation of the step has begun
 */
export async function checkRunning(
  connection: Connection,
  runId: string,
  invocation: string | null = null,
): Promise<void> {
  const [row] = await ledger(connection)
    .select({ status: runs.status, latest: invocation === null ? sql<null>`NULL` : runs.latestInvocation })
    .from(runs)
    .where(eq(runs.runId, runId))
  if (row?.status !== 'running') throw lostRun(runId)
  if (row.latest !== invocation) throw repeatedStep(runId)
}

/**
 * The fencing check: locks the run's row until the transaction ends, so that nobody takes the run over meanwhile.
 * @returns what an earlier, committed try of the wipe or the restore recorded, else null
 */
export async function fenceRun(connection: Connection, runId: string): Promise<unknown> {
  const row = await lockRun(connection, runId)
  if (row?.status !== 'running') throw lostRun(runId)
  return row.wiped ?? row.restored
}

/** What a wipe or a restore did under its locks, and for how long they were held: the next run is estimated by it. */
export type Locked = { bytes: number; milliseconds: number }

/** Records the database's wipe; to be called in the transaction that wipes. */
export async function recordWiped(
  connection: Connection,
  runId: string,
  wiped: unknown,
  locked: Locked,
): Promise<void> {
  await ledger(connection)
    .update(runs)
    .set({ wiped: storable(wiped), locked, heartbeatAt: sql`now()` })
    .where(eq(runs.runId, runId))
}

/** Records the database's restore; to be called in the transaction that restores. */
export async function recordRestored(
  connection: Connection,
  runId: string,
  restored: unknown,
  locked: Locked,
): Promise<void> {
  await ledger(connection)
    .update(runs)
    .set({ restored: storable(restored), locked, heartbeatAt: sql`now()` })
    .where(eq(runs.runId, runId))
}

/** Adds to the record of the wipe or the restore what became of the materialized views after its transaction. */
export async function recordViews(connection: Connection, runId: string, views: unknown): Promise<void> {
  const more = sql`${JSON.stringify(storable({ views }))}::jsonb`
  await ledger(connection)
    .update(runs)
    .set({ wiped: sql`${runs.wiped} || ${more}`, restored: sql`${runs.restored} || ${more}` })
    .where(and(eq(runs.runId, runId), eq(runs.status, 'running')))
}

/** Keeps a run's latest error: a Distributed Map reports only that some child failed, not why. */
export async function recordFailure(
  connection: Connection,
  runId: string,
  { error, message, ...step }: { error: string; message: string; phase: string; batch?: number },
): Promise<void> {
  await ledger(connection)
    .update(runs)
    .set({ failure: storable({ error, message, ...stepOf(step) }) })
    .where(and(eq(runs.runId, runId), eq(runs.status, 'running')))
}

/** How a noted failure is known again when its step is repeated. */
function stepOf({ phase, batch = 0 }: { phase: string; batch?: number }) {
  return { phase, batch }
}

/** Ends the run. Ending it twice keeps the first end. */
export async function closeRun(
  connection: Connection,
  run: { runId: string; status: string; outcome: unknown; finishedAt: Date },
): Promise<void> {
  const { runId, ...set } = run
  await ledger(connection)
    .update(runs)
    .set(storable(set))
    .where(and(eq(runs.runId, runId), eq(runs.status, 'running')))
}

/** Ends the run that somebody called off; to be called with the row locked. `failure` says who and when. */
export async function recordCancelled(
  connection: Connection,
  run: { runId: string; failure: { error: string; message: string; phase: string }; finishedAt: Date },
): Promise<void> {
  const { runId, ...set } = run
  await ledger(connection)
    .update(runs)
    .set({ ...storable(set), status: 'cancelled' })
    .where(and(eq(runs.runId, runId), eq(runs.status, 'running')))
}

/** The run's row, locked until the transaction ends. */
export async function lockRun(connection: Connection, runId: string): Promise<RunRow | undefined> {
  const [row] = await selectRuns(connection, 'WHERE run_id = $1 FOR UPDATE OF r', [runId])
  return row
}

export async function findRun(connection: Connection, runId: string): Promise<RunRow | undefined> {
  const [row] = await selectRuns(connection, 'WHERE run_id = $1', [runId])
  return row
}

/**
 * Reads rows of the ledger, also of one that an earlier version made, which lacks columns: those are null.
 * @param rest the statement after its FROM, where the row is `r`
 */
export async function selectRuns(
  connection: Connection,
  rest: string,
  values: readonly unknown[] = [],
): Promise<RunRow[]> {
  const has = await tablesOf(connection)
  if (!has.runs) return []
  const closing = has.invocations
    ? `CASE WHEN status <> 'running' THEN ${aliveUntil} END`
    : 'NULL::timestamptz'
  const found = await connection.query(
    `SELECT r.*, ${closing} AS closing_until FROM taskmaster_reset.runs AS r ${rest}`,
    [...values],
  )
  return found.rows.map(rowOf)
}

function rowOf(told: Record<string, unknown>): RunRow {
  const columns = Object.entries(getTableColumns(runs))
  const row = Object.fromEntries(columns.map(([key, { name }]) => [key, told[name] ?? null])) as RunRow
  return { ...row, fence: Number(row.fence), closingUntil: told.closing_until as Date | null }
}

/** @throws NotFound when there is no such run */
export async function readRun(connection: Connection, runId: string): Promise<RunRow> {
  const row = await findRun(connection, runId)
  if (row === undefined)
    throw new NotFound(`There is no run ${runId} in the ledger. List the runs to see their ids`)
  return row
}

/**
 * The newest runs first.
 * @param before a run's id: those that started before it, for the next page
 * @throws EnvironmentUnclaimed when there is no ledger
 */
export async function listRuns(connection: Connection, limit: number, before?: string): Promise<RunRow[]> {
  if (!(await hasLedger(connection))) {
    throw new EnvironmentUnclaimed('The database has no ledger yet: claim the environment first')
  }
  const earlier = `WHERE (started_at, run_id) < (SELECT started_at, run_id FROM taskmaster_reset.runs WHERE run_id = $2)`
  return selectRuns(
    connection,
    `${before === undefined ? '' : earlier} ORDER BY started_at DESC, run_id DESC LIMIT $1`,
    before === undefined ? [limit] : [limit, before],
  )
}

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

async function hasLedger(connection: Connection): Promise<boolean> {
  return (await tablesOf(connection)).runs
}

async function tablesOf(connection: Connection): Promise<{ runs: boolean; invocations: boolean }> {
  const answer = await connection.query(
    `SELECT to_regclass('taskmaster_reset.runs') IS NOT NULL AS runs,
       to_regclass('taskmaster_reset.invocations') IS NOT NULL AS invocations`,
  )
  return { runs: answer.rows[0]?.runs === true, invocations: answer.rows[0]?.invocations === true }
}

/** An execution that is started, or redriven, under the name of a run that is over. */
function endedRun({ runId, status }: RunRow): RunLost {
  return new RunLost(
    `Run ${runId} is over (${statusWords[status] ?? status}). An execution that is redriven does not bring its run back: start a new run`,
  )
}

export function lostRun(runId: string): RunLost {
  return new RunLost(
    `Run ${runId} is no longer the active run: it was cancelled, finished or taken over. This step stops without acting. An execution that is redriven does not bring its run back: start a new run`,
  )
}

/** Of a step that was repeated while its first invocation is alive. */
export function repeatedStep(runId: string): RunLost {
  return new RunLost(
    `A later invocation of this step of run ${runId} has begun, so this one stops without acting. What counts is what the later one does`,
  )
}
