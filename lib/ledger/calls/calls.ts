import { and, eq, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/neon-serverless'
import { NotFound } from '../../errors.ts'
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
 * Takes a call for a try, which is so noted before it is made. Nobody else gets it until `seconds` are over or the answer is
 * noted: an invocation that was given up, or that lost its connection, may be in the middle of it.
 * @param by the invocation, which may take again what it has
 * @returns the call as it is now, and whether it is ours: if not, it is over, or another one makes it
 */
export async function takeCall(
  connection: Connection,
  { runId, moment, name }: CallKey,
  { by, seconds }: { by: string; seconds: number },
): Promise<{ isOurs: boolean; call: CallRow }> {
  const taken = {
    state: 'calling' satisfies CallState,
    claim: by,
    claimedUntil: sql`clock_timestamp() + make_interval(secs => ${seconds})`,
  }
  const isFree = sql`(${calls.claim} IS NULL OR ${calls.claim} = ${by} OR ${calls.claimedUntil} < clock_timestamp())`
  const [ours] = await drizzle({ client: connection })
    .insert(calls)
    .values({ runId, moment, name, tries: 1, ...taken })
    .onConflictDoUpdate({
      target: [calls.runId, calls.moment, calls.name],
      set: { tries: sql`${calls.tries} + 1`, ...taken },
      setWhere: sql`${calls.state} IN ('owed', 'calling') AND ${isFree}`,
    })
    .returning()
  if (ours !== undefined) return { isOurs: true, call: ours as CallRow }
  const call = (await readCalls(connection, runId)).find((one) => one.moment === moment && one.name === name)
  if (call !== undefined) return { isOurs: false, call }
  throw new NotFound(`The call ${moment} "${name}" of run ${runId} has gone from the ledger`)
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
