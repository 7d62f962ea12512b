import type { Connection } from '../../postgres/connection.ts'
import { literal } from '../../postgres/identifiers.ts'

/** An index that was dropped: of which table, by its oid, and the statements that make it again. */
type DroppedIndex = { table: number; make: string }

/**
 * Drops the indexes of tables whose expressions or conditions are asked about each row, where making one again gives the same
 * but for its oid: none that stands behind a constraint or belongs to a partitioned one, is the mark of CLUSTER, depends on
 * an extension, or has statistics or a tablespace of its own. A replica identity has neither expression nor condition.
 */
export async function dropIndexes(
  connection: Connection,
  tables: readonly { oid: number }[],
): Promise<DroppedIndex[]> {
  const found = await connection.query(
    `SELECT i.indrelid::bigint::float8 AS table, c.oid::regclass::text AS name, pg_get_indexdef(c.oid) AS definition,
       obj_description(c.oid, 'pg_class') AS comment
     FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
     WHERE i.indrelid = ANY($1::oid[]) AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)
       AND c.relkind = 'i' AND NOT c.relispartition AND i.indisvalid AND NOT i.indisclustered AND c.reltablespace = 0
       AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = c.oid)
       AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'x')
       AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attstattarget >= 0)
     ORDER BY c.oid`,
    [tables.map(({ oid }) => oid)],
  )
  for (const { name } of found.rows) await connection.query(`DROP INDEX ${name}`)
  return found.rows.map(({ table, name, definition, comment }) => ({
    table,
    make: [
      "SET LOCAL default_tablespace = ''", // the database's, whatever the role has
      definition,
      ...(comment === null ? [] : [`COMMENT ON INDEX ${name} IS ${literal(comment)}`]),
    ].join('; '),
  }))
}
