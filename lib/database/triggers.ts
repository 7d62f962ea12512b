import type { Connection } from '../postgres/connection.ts'
import { quote } from '../postgres/identifiers.ts'

/** A table by its oid, and as SQL writes its name. */
type TriggeredTable = { oid: number; sql: string }

/**
 * SQL: whether the row `t` of pg_trigger is a trigger that somebody made. Before version 15 the copies of it that partitions have are
 * called internal, as those of foreign keys and deferred keys are.
 * @see docs/decisions.md#what-differs-between-versions-of-postgres-is-asked-of-the-server
 */
export const isOfUsers = (t: string) => `(NOT ${t}.tgisinternal OR ${t}.tgparentid <> 0
  AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.oid = ${t}.tgconstraint AND k.contype <> 't'))`

const states: Record<string, string> = { O: 'ENABLE', R: 'ENABLE REPLICA', A: 'ENABLE ALWAYS' }

/**
 * Switches off the user triggers and the rules that emptying or filling tables would set off, and that could change what is kept: all of the
 * tables in `going`, and in `reached` those for whole statements, which fire even when no row is changed.
 * @returns the statements that put each back exactly as it was
 */
export async function disableTriggers(
  connection: Connection,
  { going, reached }: { going: readonly TriggeredTable[]; reached: readonly TriggeredTable[] },
): Promise<string[]> {
  const found = await connection.query(
    `SELECT tgrelid::bigint AS oid, 'TRIGGER' AS kind, tgname AS name, tgenabled AS state FROM pg_trigger t
       WHERE ${isOfUsers('t')} AND tgenabled <> 'D'
         AND (tgrelid = ANY($1::oid[]) OR (tgrelid = ANY($2::oid[]) AND tgtype & 1 = 0 AND tgtype & (8 | 16) <> 0))
     UNION ALL
     SELECT ev_class::bigint, 'RULE', rulename, ev_enabled FROM pg_rewrite
       WHERE (ev_class = ANY($1::oid[]) OR ev_class = ANY($2::oid[])) AND ev_type <> '1' AND ev_enabled <> 'D'`,
    [going.map(({ oid }) => oid), reached.map(({ oid }) => oid)],
  )
  const byOid = new Map([...going, ...reached].map(({ oid, sql }) => [oid, sql]))
  // ONLY: a partitioned table would pass it on to its partitions, whose triggers may stand otherwise.
  const alter = (change: 'DISABLE' | undefined) =>
    found.rows.map(
      ({ oid, kind, name, state }) =>
        `ALTER TABLE ONLY ${byOid.get(Number(oid))} ${change ?? states[state]} ${kind} ${quote(name)}`,
    )
  if (found.rows.length > 0) await connection.query(alter('DISABLE').join(';\n'))
  return alter(undefined)
}
