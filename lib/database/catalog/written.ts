import type { Connection } from '../../postgres/connection.ts'

/** What tells that rows of a table were written, by its oid; null: this server does not tell. */
export type Written = Map<number, string> | null

/**
 * How much this session has written into tables, as Postgres counts it for its statistics, also what functions wrote in a savepoint
 * of their own; and in which files the tables lie, for TRUNCATE counts no row.
 */
export async function readWritten(
  connection: Connection,
  tables: readonly { oid: number }[],
): Promise<Written> {
  const found = await connection.query(
    `SELECT oid::bigint::float8 AS oid, concat_ws(' ', pg_relation_filenode(oid), pg_stat_get_xact_tuples_inserted(oid),
       pg_stat_get_xact_tuples_updated(oid), pg_stat_get_xact_tuples_deleted(oid)) AS written, current_setting('track_counts')::bool AS told
     FROM unnest($1::oid[]) AS t(oid)`,
    [tables.map(({ oid }) => oid)],
  )
  if (found.rows.some(({ told }) => !told)) return null
  return new Map(found.rows.map(({ oid, written }) => [oid, written]))
}

/** Whether rows of the table may have been written between the two. */
export function isWritten({ oid }: { oid: number }, before: Written, after: Written): boolean {
  return before === null || after === null || before.get(oid) !== after.get(oid)
}
