import { and, eq, sql } from 'drizzle-orm'
import type { Connection } from '../postgres/connection.ts'
import { storable } from '../postgres/storable.ts'
import { runs } from './schema.ts'
import { hasLedger, ledger } from './tables.ts'

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

/**
 * A run whose heartbeat is older than this is dead: the next one takes over. A step waits less long for room in Lambda.
 * @see docs/decisions.md#throttling-has-a-retry-of-its-own
 */
export const abandonedAfterMinutes = 20

export const isAbandoned = `heartbeat_at < now() - interval '${abandonedAfterMinutes} minutes'`

/**
 * Ends the run. Ending it twice keeps the first end.
 * @param run `outcome` when its machine came to an end; `failure` says who called it off, and when
 * @returns its id; undefined: it was over
 */
export async function closeRun(
  connection: Connection,
  run: {
    runId: string
    status: string
    outcome?: unknown
    failure?: { error: string; message: string; phase: string }
    finishedAt: Date
  },
): Promise<string | undefined> {
  const { runId, ...set } = run
  const [ended] = await ledger(connection)
    .update(runs)
    .set(storable(set))
    .where(and(eq(runs.runId, runId), eq(runs.status, 'running')))
    .returning({ runId: runs.runId })
  return ended?.runId
}

/**
 * Marks the run that holds the lock `abandoned` when its heartbeat has stopped.
 * @returns its id; undefined: none holds it, or that one is alive
 */
export async function abandonDeadRun(connection: Connection): Promise<string | undefined> {
  if (!(await hasLedger(connection))) return undefined
  const [ended] = await ledger(connection)
    .update(runs)
    .set({ status: 'abandoned', finishedAt: sql`now()` })
    .where(and(eq(runs.status, 'running'), sql.raw(isAbandoned)))
    .returning({ runId: runs.runId })
  return ended?.runId
}
