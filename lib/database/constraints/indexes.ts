import type { Connection } from '../../postgres/connection.ts'
import { literal } from '../../postgres/identifiers.ts'

/** An index that was dropped: of which table, by its oid, and the statements that make it again. */
export type DroppedIndex = { table: number; make: string }

const kinds = {
  /** Their expressions or conditions are asked about each row. */
  asking: '(i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)',
  /**
   * Of columns alone, and of operator classes of Postgres or an extension: making one asks no code of the application, which
   * may work under the role's search path alone. Ranges, rows and arrays are compared by what the type of their elements
   * says. To sort rows takes temporary files, which putting them in one by one does not.
   */
  plain: `current_setting('temp_file_limit') = '-1' AND i.indexprs IS NULL AND i.indpred IS NULL AND NOT EXISTS (
    SELECT FROM unnest(i.indclass::oid[]) WITH ORDINALITY AS k(oid, at) JOIN pg_opclass o ON o.oid = k.oid
    JOIN pg_attribute t ON t.attrelid = i.indrelid AND t.attnum = i.indkey[k.at - 1]
    WHERE (t.atttypid >= 16384 AND o.opcintype = ANY ('{anyarray,anyrange,anymultirange,record}'::regtype[]))
      OR (o.oid >= 16384 AND NOT EXISTS (
        SELECT FROM pg_depend d WHERE d.classid = 'pg_opclass'::regclass AND d.objid = o.oid AND d.deptype = 'e')))`,
}

/**
 * SQL: whether making the index `i` (`c` in `pg_class`, `n` its schema) again gives the same but for its number and what
 * was counted of its use. What pg_get_indexdef does not write must be as a new index has it, and nothing may hang on it: no
 * constraint stands on it, also no foreign key of another table, it belongs to no partitioned one, is neither the mark of
 * CLUSTER nor the replica identity, and depends on no extension. The role may make it, and no event trigger hears of it.
 * To alter it takes no lock on its table: while somebody does, it stays.
 */
const comesBack = `c.relkind = 'i' AND NOT c.relispartition AND i.indisvalid AND i.indisready AND i.indislive
  AND NOT i.indisclustered AND NOT i.indisreplident AND c.reltablespace = 0 AND has_schema_privilege(n.oid, 'CREATE')
  AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = c.oid)
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid)
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype NOT IN ('a', 'n'))
  -- a column that was renamed since has its first name in the index
  AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND (a.attstattarget >= 0 OR i.indkey[a.attnum - 1] <> 0
    AND a.attname <> (SELECT t.attname FROM pg_attribute t WHERE t.attrelid = i.indrelid AND t.attnum = i.indkey[a.attnum - 1])))
  AND NOT EXISTS (SELECT FROM pg_event_trigger e WHERE e.evtenabled NOT IN ('D', 'R')
    AND e.evtevent IN ('ddl_command_start', 'ddl_command_end', 'sql_drop')
    AND (e.evttags IS NULL OR e.evttags && '{CREATE INDEX,DROP INDEX,COMMENT}'))
  AND c.oid <> ALL (ARRAY(SELECT l.relation FROM pg_locks l WHERE l.locktype = 'relation' AND l.granted AND l.pid <> pg_backend_pid()
    AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())))`

/**
 * Drops those indexes of the tables that come back as they were, and are of that kind; not more than `most`, of the first tables.
 * Names and definitions are read past the transaction's snapshot: an index may have been altered since.
 */
export async function dropIndexes(
  connection: Connection,
  tables: readonly { oid: number }[],
  kind: keyof typeof kinds,
  most: number | null = null,
): Promise<DroppedIndex[]> {
  const found = await connection.query(
    `SELECT i.indrelid::bigint::float8 AS table, c.oid::regclass::text AS name, pg_get_indexdef(c.oid) AS definition,
       obj_description(c.oid, 'pg_class') AS comment
     FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE i.indrelid = ANY($1::oid[]) AND ${kinds[kind]} AND ${comesBack}
     ORDER BY array_position($1::oid[], i.indrelid), c.oid LIMIT $2`,
    [tables.map(({ oid }) => oid), most],
  )
  const names = found.rows.map(({ name }) => name)
  if (names.length > 0) await connection.query(`DROP INDEX ${names.join(', ')}`)
  return found.rows.map(({ table, name, definition, comment }) => ({
    table,
    make: [
      "SET LOCAL default_tablespace = ''", // the database's, whatever the role has
      definition,
      ...(comment === null ? [] : [`COMMENT ON INDEX ${name} IS ${literal(comment)}`]),
    ].join('; '),
  }))
}
