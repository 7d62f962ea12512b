import type { Connection } from '../../postgres/connection.ts'
import type { DatabasePlan } from '../schema/plan.ts'
import type { Locks } from './locks.ts'

/**
 * What a restore locks. Against everybody the tables of which rows are replaced, what is above and below them, whose constraints
 * are theirs, and those at the other end of their foreign keys, which are dropped and made again. The others stay: they are only read,
 * as the snapshot has them, and nobody may empty or alter them meanwhile.
 * @see docs/decisions.md#a-restore-of-some-tables-locks-no-others
 */
export async function locksOfRestore(connection: Connection, { tables }: DatabasePlan): Promise<Locks> {
  const replaced = tables.filter(({ action }) => action !== 'keep').map(({ table }) => table.oid)
  const found = await connection.query(
    `WITH RECURSIVE above AS (
       SELECT oid FROM unnest($1::oid[]) AS t(oid)
       UNION SELECT i.inhparent FROM above JOIN pg_inherits i ON i.inhrelid = above.oid
     ),
     reached AS (
       SELECT oid FROM above
       UNION SELECT unnest(ARRAY[k.conrelid, k.confrelid]) FROM pg_constraint k JOIN above ON above.oid IN (k.conrelid, k.confrelid) WHERE k.contype = 'f'
     ),
     below AS (
       SELECT oid FROM reached
       UNION SELECT i.inhrelid FROM below JOIN pg_inherits i ON i.inhparent = below.oid
     )
     SELECT oid::bigint::float8 AS oid FROM below`,
    [replaced],
  )
  const touched = new Set<number>(found.rows.map(({ oid }) => oid))
  const all = tables.map(({ table }) => table)
  return {
    exclusive: all.filter(({ oid }) => touched.has(oid)),
    shared: all.filter(({ oid }) => !touched.has(oid)),
  }
}
