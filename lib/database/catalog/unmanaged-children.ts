import type { Connection } from '../../postgres/connection.ts'
import { plainName } from '../../postgres/identifiers.ts'

/** A table that holds rows of a managed one, as its partition or inheritance child, but is not managed itself. */
export type UnmanagedChild = {
  name: string
  schema: string
  table: string
  /** The nearest managed table above it. */
  of: string
  partition: boolean
  /** Its rows are on another server. */
  foreign: boolean
  mayRead: boolean
  pages: number
}

/**
 * SQL, true: lets a query that has no `lock_timeout` wait so many milliseconds for a table at most. To ask for a table's size
 * is to wait for whoever has locked it, and a migration that forgot to end would be waited for until the invocation is over.
 */
export function waitingFor(milliseconds: string): string {
  return `(SELECT set_config('lock_timeout', CASE current_setting('lock_timeout') WHEN '0' THEN ${milliseconds}::int::text ELSE current_setting('lock_timeout') END, true)) IS NOT NULL`
}

const outsideQuery = `
WITH RECURSIVE below AS (
  SELECT inhrelid AS oid, inhparent AS above, 1 AS depth FROM pg_inherits WHERE inhparent = ANY($1::oid[])
  UNION SELECT i.inhrelid, b.above, b.depth + 1 FROM pg_inherits i JOIN below b ON i.inhparent = b.oid
)
SELECT DISTINCT ON (c.oid) ${plainName('n.nspname', 'c.relname')} AS name, n.nspname AS schema, c.relname AS "table",
  ${plainName('an.nspname', 'a.relname')} AS of, c.relispartition AS partition, c.relkind = 'f' AS foreign,
  has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') AS "mayRead",
  (pg_relation_size(c.oid) / current_setting('block_size')::int)::float8 AS pages
FROM below b JOIN pg_class c ON c.oid = b.oid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class a ON a.oid = b.above JOIN pg_namespace an ON an.oid = a.relnamespace
WHERE c.relkind IN ('r', 'f') AND c.relpersistence <> 't' AND c.oid <> ALL($1::oid[]) AND ${waitingFor('$2')}
ORDER BY c.oid, b.depth`

/**
 * The tables below the managed ones, at any depth and in any schema, that are not managed.
 * @see docs/decisions.md#what-a-run-does-not-reach-is-named
 */
export async function readUnmanagedChildren(
  connection: Connection,
  managed: readonly { oid: number }[],
  waitMs: number,
): Promise<UnmanagedChild[]> {
  const answer = await connection.query(outsideQuery, [managed.map(({ oid }) => oid), waitMs])
  return answer.rows.toSorted((a, b) => (a.name < b.name ? -1 : 1))
}
