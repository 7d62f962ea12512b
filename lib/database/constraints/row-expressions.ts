import type { Connection } from '../../postgres/connection.ts'
import { literal } from '../../postgres/identifiers.ts'

/** What of a table calls functions of the application about each row that is put in. */
export type RowExpression = {
  /** The table, by its oid. */
  oid: number
  kind: 'index' | 'generated column' | 'partition key'
  /** For people, without the table: `index one`. */
  label: string
  /** And with it: `index one of public.a`. */
  name: string
}

/** What of a catalog row depends on code of the application: its own functions and operators, or domains that call them. */
const callsApplication = (classOf: string, object: string) => {
  const code = (alias: string) =>
    `${alias}.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass) AND ${alias}.refobjid >= 16384
     AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = ${alias}.refclassid AND x.objid = ${alias}.refobjid AND x.deptype = 'e')`
  return `EXISTS (SELECT FROM pg_depend d WHERE d.classid = ${literal(classOf)}::regclass AND d.objid = ${object}
    AND ((${code('d')}) OR (d.refclassid = 'pg_type'::regclass AND EXISTS (
      SELECT FROM pg_constraint k JOIN pg_depend e ON e.classid = 'pg_constraint'::regclass AND e.objid = k.oid
      WHERE k.contypid = d.refobjid AND ${code('e')}))))`
}

const tableName = (oid: string) =>
  `(SELECT n.nspname || '.' || r.relname FROM pg_class r JOIN pg_namespace n ON n.oid = r.relnamespace WHERE r.oid = ${oid})`

/**
 * The indexes, generated columns and partition keys of these tables that call functions of the application, which may read
 * tables although they are declared IMMUTABLE. Those of extensions hardly ever do: nothing is locked to try them, but a
 * restore looks at what is read while it fills the tables.
 */
export async function readRowExpressions(
  connection: Connection,
  tables: readonly { oid: number }[],
): Promise<RowExpression[]> {
  const found = await connection.query(
    `SELECT oid::bigint::float8 AS oid, kind, format('%s %s', kind, called) AS label, CASE kind WHEN 'partition key' THEN kind || ' ' || called ELSE format('%s %s of %s', kind, called, "table") END AS name FROM (
     SELECT i.indrelid AS oid, 'index' AS kind, c.relname::text AS called, ${tableName('i.indrelid')} AS "table" FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
       WHERE i.indrelid = ANY($1::oid[]) AND i.indisready AND ${callsApplication('pg_class', 'i.indexrelid')}
     UNION ALL
     SELECT a.attrelid, 'generated column', a.attname, ${tableName('a.attrelid')} FROM pg_attribute a
       JOIN pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
       WHERE a.attgenerated = 's' AND a.attrelid = ANY($1::oid[]) AND ${callsApplication('pg_attrdef', 'f.oid')}
     UNION ALL
     SELECT t.oid, 'partition key', 'of ' || ${tableName('p.partrelid')}, ${tableName('t.oid')}
       FROM unnest($1::oid[]) AS t(oid) CROSS JOIN LATERAL pg_partition_ancestors(t.oid) AS up(relid)
       JOIN pg_partitioned_table p ON p.partrelid = up.relid
       WHERE p.partexprs IS NOT NULL AND ${callsApplication('pg_class', 'p.partrelid')}
     ) AS found ORDER BY 1, 3`,
    [tables.map(({ oid }) => oid)],
  )
  return found.rows
}
