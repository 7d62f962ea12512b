import { and, eq, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/neon-serverless'
import type { Connection } from '../../postgres/connection.ts'
import { calls } from '../schema.ts'

export type Moment = 'before' | 'after'

/**
 * `owed`: to be made at the end of the run, however that comes about. `calling`: begun, and not answered as it should be.
 * `done`, `failed`, `tolerated`: over; `tolerated` is a failure that is a warning.
 */
export type CallState = 'owed' | 'calling' | 'done' | 'failed' | 'tolerated'

export type CallRow = Omit<typeof calls.$inferSelect, 'moment' | 'state'> & {
  moment: Moment
  state: CallState
}

type CallKey = { runId: string; moment: Moment; name: string }

/**
 * Takes, for as long as the connection lives, what only one invocation at a time has: one that was given up may be in the
 * middle of a call.
 * @returns whether it is ours
 */
export async function tryToLockCalls(connection: Connection, runId: string): Promise<boolean> {
  const found = await connection.query('SELECT pg_try_advisory_lock(hashtextextended($1, 0)) AS ours', [
    `taskmaster-reset calls of ${runId}`,
  ])
  return found.rows[0]?.ours === true
}

/** The calls of a run, as far as the ledger knows of any: one of an earlier version has none. */
export async function readCalls(connection: Connection, runId: string): Promise<CallRow[]> {
  const has = await connection.query(`SELECT to_regclass('taskmaster_reset.calls') IS NOT NULL AS has`)
  if (has.rows[0]?.has !== true) return []
  const rows = await drizzle({ client: connection }).select().from(calls).where(eq(calls.runId, runId))
  return rows as CallRow[]
}

/** Notes what has to be called at the end of the run; what is known of a call already stays. */
export async function noteOwed(
  connection: Connection,
  runId: string,
  names: readonly string[],
): Promise<void> {
  if (names.length === 0) return
  await drizzle({ client: connection })
    .insert(calls)
    .values(names.map((name) => ({ runId, moment: 'after', name, state: 'owed' satisfies CallState })))
    .onConflictDoNothing()
}

/**
 * Before each try, so that one of which nobody hears again was noted.
 * @returns whether it is to be made; false: it was answered meanwhile. Who lost the connection has lost what kept others out
 */
export async function noteTry(connection: Connection, { runId, moment, name }: CallKey): Promise<boolean> {
  const noted = await drizzle({ client: connection })
    .insert(calls)
    .values({ runId, moment, name, state: 'calling' satisfies CallState, tries: 1 })
    .onConflictDoUpdate({
      target: [calls.runId, calls.moment, calls.name],
      set: { state: 'calling' satisfies CallState, tries: sql`${calls.tries} + 1` },
      setWhere: sql`${calls.state} <> 'done'`,
    })
    .returning({ tries: calls.tries })
  return noted.length > 0
}

/** What became of a try; one that was answered as it should be stays so. */
export async function noteAnswer(
  connection: Connection,
  { runId, moment, name }: CallKey,
  { state, answer, error }: { state: CallState; answer: number | null; error: string | null },
): Promise<void> {
  const isOver = state !== 'owed' && state !== 'calling'
  await drizzle({ client: connection })
    .update(calls)
    .set({ state, answer, error, ...(isOver ? { endedAt: sql`now()` } : {}) })
    .where(
      and(
        eq(calls.runId, runId),
        eq(calls.moment, moment),
        eq(calls.name, name),
        sql`${calls.state} <> 'done'`,
      ),
    )
}
