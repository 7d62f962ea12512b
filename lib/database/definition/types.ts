import type { Connection } from '../../postgres/connection.ts'

/** What somebody made for a database, in SQL: not of Postgres, and not of an extension, whose script makes it. */
export const isMadeHere = (catalog: string, oid: string, schema: string) =>
  `${schema} NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND NOT EXISTS (
    SELECT FROM pg_depend e WHERE e.classid = '${catalog}'::regclass AND e.objid = ${oid} AND e.deptype = 'e')`

/** A collation that is not the type's own, as a column has it in SQL. */
export const collationOf = (collation: string, type: string) =>
  `coalesce((SELECT format(' COLLATE %I.%I', ln.nspname, l.collname) FROM pg_collation l JOIN pg_namespace ln ON ln.oid = l.collnamespace
    WHERE l.oid = ${collation} AND ${collation} <> coalesce((SELECT typcollation FROM pg_type WHERE oid = ${type}), 0)), '')`

// Before version 15 a generated column itself depends on what its expression uses.
const isExpressionOf = `d.classid = 'pg_attrdef'::regclass AND d.objid IN (SELECT oid FROM pg_attrdef WHERE adrelid = ANY($1::oid[]))
  OR d.classid = 'pg_class'::regclass AND d.objid = ANY($1::oid[]) AND d.objsubid > 0
  OR d.classid = 'pg_constraint'::regclass AND d.objid IN (SELECT oid FROM pg_constraint WHERE conrelid = ANY($1::oid[]))`

// Through arrays, domains, composite types and ranges to all that those are made of.
const typesQuery = `
WITH RECURSIVE used AS (
  SELECT oid FROM (
    SELECT a.atttypid FROM pg_attribute a WHERE a.attrelid = ANY($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
    UNION SELECT d.refobjid FROM pg_depend d WHERE d.refclassid = 'pg_type'::regclass AND (${isExpressionOf})) AS t(oid)
  UNION SELECT x.oid FROM used u CROSS JOIN LATERAL (${partsOf('u.oid')}) x
)
SELECT y.oid::bigint::float8 AS oid, y.typtype AS kind, format('%I.%I', n.nspname, y.typname) AS sql, n.nspname AS schema,
  ARRAY(SELECT p.oid::bigint::float8 FROM (${partsOf('y.oid')}) p) AS needs,
  coalesce(${isMadeHere('pg_type', 'y.oid', 'n.nspname')}, false) AS here, coalesce(c.relkind, '') AS relation,
  coalesce(c.relkind IN ('r', 'p') AND c.oid = ANY($1::oid[]), false) AS "ofTable",
  CASE y.typtype
    WHEN 'e' THEN (SELECT 'AS ENUM (' || string_agg(quote_literal(l.enumlabel), ', ' ORDER BY l.enumsortorder) || ')' FROM pg_enum l WHERE l.enumtypid = y.oid)
    WHEN 'c' THEN (SELECT 'AS (' || coalesce(string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod))
      || ${collationOf('a.attcollation', 'a.atttypid')}, ', ' ORDER BY a.attnum), '') || ')'
      FROM pg_attribute a WHERE a.attrelid = y.typrelid AND a.attnum > 0 AND NOT a.attisdropped)
    WHEN 'd' THEN 'AS ' || format_type(y.typbasetype, y.typtypmod) || ${collationOf('y.typcollation', 'y.typbasetype')}
      || coalesce(' DEFAULT ' || pg_get_expr(y.typdefaultbin, 'pg_type'::regclass), '') || CASE WHEN y.typnotnull THEN ' NOT NULL' ELSE '' END
    WHEN 'r' THEN (SELECT format('AS RANGE (subtype = %s, subtype_opclass = %I.%I', format_type(r.rngsubtype, NULL), pn.nspname, o.opcname)
      || coalesce((SELECT format(', collation = %I.%I', ln.nspname, l.collname) FROM pg_collation l JOIN pg_namespace ln ON ln.oid = l.collnamespace WHERE l.oid = r.rngcollation), '')
      || CASE WHEN r.rngsubdiff = 0 THEN '' ELSE ', subtype_diff = ' || r.rngsubdiff::regproc END
      || (SELECT format(', multirange_type_name = %I.%I)', mn.nspname, m.typname) FROM pg_type m JOIN pg_namespace mn ON mn.oid = m.typnamespace WHERE m.oid = r.rngmultitypid)
      FROM pg_range r JOIN pg_opclass o ON o.oid = r.rngsubopc JOIN pg_namespace pn ON pn.oid = o.opcnamespace WHERE r.rngtypid = y.oid AND r.rngcanonical = 0)
  END AS definition,
  ARRAY(SELECT format('ADD CONSTRAINT %I %s', k.conname, pg_get_constraintdef(k.oid)) FROM pg_constraint k
    WHERE k.contypid = y.oid AND k.contype = 'c' ORDER BY k.conname) AS checks
FROM used u JOIN pg_type y ON y.oid = u.oid JOIN pg_namespace n ON n.oid = y.typnamespace LEFT JOIN pg_class c ON c.oid = y.typrelid
ORDER BY n.nspname, y.typname`

/** SQL: the types that one is made of; none of its names is of the query around it. */
function partsOf(oid: string): string {
  return `SELECT z.typelem AS oid FROM pg_type z WHERE z.oid = ${oid} AND z.typelem <> 0
    UNION ALL SELECT z.typbasetype FROM pg_type z WHERE z.oid = ${oid} AND z.typtype = 'd'
    UNION ALL SELECT a.atttypid FROM pg_type z JOIN pg_attribute a ON a.attrelid = z.typrelid AND a.attnum > 0 AND NOT a.attisdropped
      WHERE z.oid = ${oid} AND z.typtype = 'c'
    UNION ALL SELECT r.rngsubtype FROM pg_range r WHERE r.rngtypid = ${oid}
    UNION ALL SELECT r.rngtypid FROM pg_range r WHERE r.rngmultitypid = ${oid}`
}

/** `statements` in the order in which they can be run; `without`: types that they do not make. */
type Types = { statements: string[]; oids: number[]; schemas: string[]; without: string[] }

/** What makes the types of the tables' columns, and all that those are made of. */
export async function readTypes(connection: Connection, tables: readonly number[]): Promise<Types> {
  const { rows } = await connection.query(typesQuery, [tables])
  const known = new Map(rows.map((row) => [row.oid, row]))
  const made: Types = { statements: [], oids: [], schemas: [], without: [] }
  const seen = new Set<number>()
  const visit = (oid: number) => {
    const type = known.get(oid)
    if (type === undefined || seen.has(oid)) return
    seen.add(oid)
    for (const needed of type.needs) visit(needed)
    // Arrays and multiranges come with their own, and types of rows with their tables.
    if (!type.here || !'ecdr'.includes(type.kind) || type.ofTable) return
    if (type.definition === null || !['', 'c'].includes(type.relation)) made.without.push(type.sql)
    else {
      made.oids.push(oid)
      made.schemas.push(type.schema)
      made.statements.push(...statementsOf(type))
    }
  }
  for (const { oid } of rows) visit(oid)
  return made
}

type TypeRow = { sql: string; kind: string; definition: string; checks: string[] }

function statementsOf({ sql, kind, definition, checks }: TypeRow): string[] {
  const what = kind === 'd' ? 'DOMAIN' : 'TYPE'
  return [`CREATE ${what} ${sql} ${definition}`, ...checks.map((check) => `ALTER DOMAIN ${sql} ${check}`)]
}
