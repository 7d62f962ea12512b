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

/** What of a catalog row, or of one column of it, depends on code of the application: its own functions and operators, or domains that call them. */
const callsApplication = (classOf: string, object: string, column?: string) => {
  const code = (alias: string) =>
    `${alias}.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass) AND ${alias}.refobjid >= 16384
     AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = ${alias}.refclassid AND x.objid = ${alias}.refobjid AND x.deptype = 'e')`
  return `EXISTS (SELECT FROM pg_depend d WHERE d.classid = ${literal(classOf)}::regclass AND d.objid = ${object}${column === undefined ? '' : ` AND d.objsubid = ${column}`}
    AND ((${code('d')}) OR (d.refclassid = 'pg_type'::regclass AND EXISTS (
      SELECT FROM pg_constraint k JOIN pg_depend e ON e.classid = 'pg_constraint'::regclass AND e.objid = k.oid
      WHERE k.contypid = d.refobjid AND ${code('e')}))))`
}

/** The same of the generated column `a`, of which `f` has the expression: before version 15 the column itself depends on what that calls. */
const isMadeByApplication = `(${callsApplication('pg_attrdef', 'f.oid')}
  OR current_setting('server_version_num')::int < 150000 AND ${callsApplication('pg_class', 'a.attrelid', 'a.attnum')})`

/**
 * Whether an expression, as the catalog holds it, may judge a value otherwise at another time, although no function of the
 * application is called: by the clock, by settings, by random. Arithmetic of dates depends on the time zone alone, which is pinned.
 * What Postgres has of its own is in no pg_depend, so the expression's own tree is read.
 */
export const answersByTime = (tree: string) => `(${tree}::text LIKE '%{SQLVALUEFUNCTION %' OR EXISTS (
  SELECT FROM regexp_matches(${tree}::text, ':(funcid|opno) (\\d+)', 'g') AS called(found)
    LEFT JOIN pg_operator o ON called.found[1] = 'opno' AND o.oid = called.found[2]::oid
    JOIN pg_proc p ON p.oid = coalesce(o.oprcode::oid, called.found[2]::oid)
  WHERE p.provolatile <> 'i'
    AND (p.proname = 'age' AND p.pronargs = 1 OR NOT p.proargtypes::oid[] && ${dates}::regtype[]::oid[])))`

const dates = `'{date,time,timetz,timestamp,timestamptz}'`

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
       WHERE a.attgenerated = 's' AND a.attrelid = ANY($1::oid[]) AND ${isMadeByApplication}
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

/** The columns of these tables whose defaults call functions of the application: a row that has no value for one asks it. */
export async function readAskingDefaults(
  connection: Connection,
  tables: readonly { oid: number }[],
): Promise<{ oid: number; column: string }[]> {
  const found = await connection.query(
    `SELECT a.attrelid::bigint::float8 AS oid, a.attname AS column FROM pg_attribute a
     JOIN pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
     WHERE a.attgenerated = '' AND a.attrelid = ANY($1::oid[]) AND ${callsApplication('pg_attrdef', 'f.oid')}`,
    [tables.map(({ oid }) => oid)],
  )
  return found.rows
}

/** The types of these tables' columns that are not Postgres' own, also those inside of them, as a CTE `held (oid, type)`. */
export const heldTypesOf = (tables: string) => `held AS (
  SELECT a.attrelid AS oid, a.atttypid AS type FROM pg_attribute a
    WHERE a.attrelid = ANY(${tables}) AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid >= 16384
  UNION
  SELECT h.oid, inner_types.type FROM held h JOIN pg_type t ON t.oid = h.type CROSS JOIN LATERAL (
    SELECT t.typelem WHERE t.typelem <> 0 UNION ALL SELECT t.typbasetype WHERE t.typbasetype <> 0
    UNION ALL SELECT r.rngsubtype FROM pg_range r WHERE t.oid IN (r.rngtypid, r.rngmultitypid)
    UNION ALL SELECT a.atttypid FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
  ) AS inner_types(type))`

/**
 * The tables of which rows are judged or made by functions of the application, also in checks and in the domains that their columns
 * hold, or by what is another thing at another time; by their oids.
 */
export async function readAskingTables(
  connection: Connection,
  tables: readonly { oid: number }[],
): Promise<Set<number>> {
  const expressions = await readRowExpressions(connection, tables)
  const isAsking = `(${callsApplication('pg_constraint', 'k.oid')} OR ${answersByTime('k.conbin')})`
  const found = await connection.query(
    `WITH RECURSIVE ${heldTypesOf('$1::oid[]')}, asking AS MATERIALIZED (
       SELECT k.conrelid AS oid, k.contypid AS type FROM pg_constraint k
       WHERE (k.conrelid = ANY($1::oid[]) OR k.contypid >= 16384) AND k.contype <> 'f' AND ${isAsking})
     SELECT oid::bigint::float8 AS oid FROM asking WHERE oid <> 0
     UNION SELECT h.oid::bigint::float8 FROM held h JOIN asking a ON a.type = h.type AND a.oid = 0
     UNION SELECT f.adrelid::bigint::float8 FROM pg_attrdef f JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
       WHERE f.adrelid = ANY($1::oid[]) AND a.attgenerated <> '' AND ${isMadeByApplication}`,
    [tables.map(({ oid }) => oid)],
  )
  return new Set([...expressions, ...found.rows].map(({ oid }) => oid))
}
