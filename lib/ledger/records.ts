import { and, eq, sql } from 'drizzle-orm'
import type { Connection } from '../postgres/connection.ts'
import { storable } from '../postgres/storable.ts'
import { runs } from './schema.ts'
import { ledger } from './tables.ts'

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
