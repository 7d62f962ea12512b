import type { Connection } from '../../postgres/connection.ts'
import { validatedDomains } from '../constraints/domains.ts'
import { changedIn, type DatabasePlan } from '../schema/plan.ts'
import type { Locks } from './locks.ts'

/**
 * What a restore locks. Against everybody the tables of which rows are replaced, what is above and below them, whose constraints
 * are theirs, those at the other end of their foreign keys, which are dropped and made again, and those with columns of a domain of which that is true.
 * The others stay: they are only read, as the snapshot has them, and nobody may empty or alter them meanwhile.
 * @see docs/decisions.md#a-restore-of-some-tables-locks-no-others
 */
export async function locksOfRestore(connection: Connection, { tables }: DatabasePlan): Promise<Locks> {
  const replaced = changedIn(tables)
  const domains = await validatedDomains(connection, replaced)
  const found = await connection.query(
    `WITH RECURSIVE above AS (
       SELECT oid FROM unnest($1::oid[]) AS t(oid)
       UNION SELECT i.inhparent FROM above JOIN pg_inherits i ON i.inhrelid = above.oid
     ),
     domains AS (
       SELECT oid FROM unnest($2::oid[]) AS t(oid)
       UNION SELECT t.oid FROM domains JOIN pg_type t ON t.typbasetype = domains.oid
     ),
     reached AS (
       SELECT oid FROM above
       UNION SELECT a.attrelid FROM pg_attribute a JOIN domains ON a.atttypid = domains.oid
       UNION SELECT unnest(ARRAY[k.conrelid, k.confrelid]) FROM pg_constraint k JOIN above ON above.oid IN (k.conrelid, k.confrelid) WHERE k.contype = 'f'
     ),
     below AS (
       SELECT oid FROM reached
       UNION SELECT i.inhrelid FROM below JOIN pg_inherits i ON i.inhparent = below.oid
     )
     SELECT oid::bigint::float8 AS oid FROM below`,
    [replaced.map(({ oid }) => oid), domains],
  )
  const touched = new Set<number>(found.rows.map(({ oid }) => oid))
  const all = tables.map(({ table }) => table)
  return {
    exclusive: all.filter(({ oid }) => touched.has(oid)),
    shared: all.filter(({ oid }) => !touched.has(oid)),
  }
}
