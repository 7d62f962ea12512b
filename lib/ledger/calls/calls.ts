import { and, eq, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/neon-serverless'
import type { Connection } from '../../postgres/connection.ts'
import { literal } from '../../postgres/identifiers.ts'
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

export type CallKey = { runId: string; moment: Moment; name: string }

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
 * Takes a call for a try, which is so noted before it is made. Nobody else gets one of the run until `seconds` are over or the
 * answer is noted: an invocation that was given up, that lost its connection, or whose run was cancelled, may be in the middle
 * of it, and what ends maintenance must not overtake what begins it.
 * @param by the invocation, which may take again what it has
 * @returns the call as it is now, undefined when nobody has begun it; and whether it is ours: if not, it is over, or another
 *   invocation makes this or another one
 */
export async function takeCall(
  connection: Connection,
  { runId, moment, name }: CallKey,
  { by, seconds }: { by: string; seconds: number },
): Promise<{ isOurs: true; call: CallRow } | { isOurs: false; call: CallRow | undefined }> {
  const key = [runId, moment, name].map(literal).join(', ')
  const isOthers = `(c.claim <> ${literal(by)} AND c.claimed_until >= clock_timestamp())`
  const until = `clock_timestamp() + make_interval(secs => ${Number(seconds)})`
  // Two that ask at once must not both see that nobody has one. One text, so that nobody keeps the lock who is frozen meanwhile.
  const [, taken] = (await connection.query(
    `SELECT pg_advisory_xact_lock(hashtextextended(${literal(`taskmaster-reset calls of ${runId}`)}, 0));
     INSERT INTO taskmaster_reset.calls AS c (run_id, moment, name, state, tries, claim, claimed_until)
     SELECT ${key}, 'calling', 1, ${literal(by)}, ${until}
     WHERE NOT EXISTS (SELECT FROM taskmaster_reset.calls AS c WHERE c.run_id = ${literal(runId)} AND ${isOthers})
     ON CONFLICT (run_id, moment, name) DO UPDATE
     SET state = excluded.state, tries = c.tries + 1, claim = excluded.claim, claimed_until = excluded.claimed_until
     WHERE c.state IN ('owed', 'calling')`,
  )) as unknown as { rowCount: number | null }[]
  const known = await readCalls(connection, runId)
  const call = known.find((one) => one.moment === moment && one.name === name)
  return taken?.rowCount === 1 && call !== undefined ? { isOurs: true, call } : { isOurs: false, call }
}

/**
 * What became of a try. An answer as it should be counts whoever heard it; of anything else whoever has the call.
 * @param keeps another try follows, in the time that the call was taken for
 */
export async function noteAnswer(
  connection: Connection,
  { runId, moment, name }: CallKey,
  {
    by,
    keeps,
    state,
    answer,
    error,
  }: { by: string; keeps: boolean; state: CallState; answer: number | null; error: string | null },
): Promise<void> {
  const isOver = state !== 'owed' && state !== 'calling'
  await drizzle({ client: connection })
    .update(calls)
    .set({
      ...{ state, answer, error },
      ...(isOver ? { endedAt: sql`now()` } : {}),
      ...(keeps ? {} : { claim: null, claimedUntil: null }),
    })
    .where(
      and(
        ...[eq(calls.runId, runId), eq(calls.moment, moment), eq(calls.name, name)],
        sql`${calls.state} <> 'done'`,
        state === 'done' ? undefined : eq(calls.claim, by),
      ),
    )
}
