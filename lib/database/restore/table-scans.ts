import type { Connection } from '../../postgres/connection.ts'

/** How often each table or materialized view was read, by its oid. */
export type Scans = Map<number, number>

/**
 * What was read by this session so far, as Postgres counts it for its statistics: also what functions read inside of a
 * statement. Parallel workers count for themselves, so whoever looks lets none work. Where the server keeps no such
 * statistics (`track_counts`), nothing was read.
 */
export async function countScans(connection: Connection): Promise<Scans> {
  const found = await connection.query(
    `SELECT relid::bigint::float8 AS oid, (coalesce(seq_scan, 0) + coalesce(idx_scan, 0))::float8 AS scans
     FROM pg_stat_xact_user_tables WHERE coalesce(seq_scan, 0) + coalesce(idx_scan, 0) > 0`,
  )
  return new Map(found.rows.map(({ oid, scans }) => [oid, scans]))
}

export const withoutWorkers =
  'SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL max_parallel_maintenance_workers = 0'

/** The tables and views that were read between the two. */
export function readBetween(before: Scans, after: Scans): number[] {
  return [...after].filter(([oid, scans]) => scans > (before.get(oid) ?? 0)).map(([oid]) => oid)
}
