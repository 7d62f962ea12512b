import { and, eq, type SQL, sql } from 'drizzle-orm'
import { RunLost } from '../errors.ts'
import type { Connection } from '../postgres/connection.ts'
import { storable } from '../postgres/storable.ts'
import type { Progress } from './runs.ts'
import { changing, lockRun } from './runs.ts'
import { runs } from './schema.ts'
import { ledger } from './tables.ts'

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
      steps: stepBegun(run.phase),
      progress: sql`${runs.progress} || ${JSON.stringify(run.progress ?? {})}::jsonb`,
      ...(run.latestInvocation === undefined ? {} : { latestInvocation: run.latestInvocation }),
      failure: sql`CASE WHEN ${runs.failure} @> ${step} THEN NULL ELSE ${runs.failure} END`,
    })
    .where(and(eq(runs.runId, run.runId), eq(runs.status, 'running')))
    .returning({ fence: runs.fence })
  if (updated[0] === undefined) throw lostRun(run.runId)
  return updated[0].fence
}

/** When the state was first at work stays. */
export function stepBegun(phase: string): SQL {
  return sql`jsonb_build_object(${phase}::text, jsonb_build_object('from', now(), 'to', NULL)) || coalesce(${runs.steps}, '{}')`
}

export function stepEnded(phase: string): SQL {
  return sql`CASE WHEN ${runs.steps} -> ${phase}::text IS NOT NULL THEN jsonb_set(${runs.steps}, ARRAY[${phase}::text, 'to'], to_jsonb(now())) ELSE ${runs.steps} END`
}

/** Notes until when a state was at work: of several invocations of it the last one's end stays. */
export async function noteEnd(
  connection: Connection,
  { runId, phase }: { runId: string; phase: string },
): Promise<void> {
  await ledger(connection)
    .update(runs)
    .set({ steps: stepEnded(phase) })
    .where(and(eq(runs.runId, runId), eq(runs.status, 'running')))
}

/**
 * Says what the run's step waits for before it changes anything. @throws RunLost when the row is no longer this run's.
 * @see docs/decisions.md#a-run-is-waiting-until-it-has-its-locks
 */
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
