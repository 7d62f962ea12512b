import type { Connection } from '../../postgres/connection.ts'
import { sequenceOptions } from './sequences.ts'
import { collationOf } from './types.ts'

// A partition is made as a table of its own and attached: so its columns stand in its own order. A child of another table has
// what it inherits from there; what it has otherwise than that is said behind it.
const tablesQuery = `
WITH mine AS (SELECT oid FROM unnest($1::oid[]) AS t(oid)),
above AS (
  SELECT i.inhrelid AS child, i.inhparent AS parent, i.inhseqno FROM pg_inherits i JOIN mine m ON m.oid = i.inhrelid JOIN mine p ON p.oid = i.inhparent
),
columns AS (
  SELECT a.attrelid, a.attnum, a.attname, a.attislocal, a.attnotnull, a.attgenerated, pg_get_expr(d.adbin, d.adrelid) AS expression,
    nn.conname AS not_null, nn.valid, coalesce(nn.conislocal, true) AS own_not_null,
    p.attrelid IS NOT NULL AS inherited, p.expression AS above_expression,
    CASE WHEN a.attnotnull AND coalesce(nn.valid, true) THEN
      CASE WHEN nn.conname <> c.relname || '_' || a.attname || '_not_null' THEN format(' CONSTRAINT %I', nn.conname) ELSE '' END || ' NOT NULL'
      || CASE WHEN nn.connoinherit THEN ' NO INHERIT' ELSE '' END ELSE '' END AS not_null_text,
    format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)) || ${collationOf('a.attcollation', 'a.atttypid')}
    || CASE WHEN a.attgenerated <> '' THEN format(' GENERATED ALWAYS AS (%s) %s', pg_get_expr(d.adbin, d.adrelid), CASE a.attgenerated WHEN 's' THEN 'STORED' ELSE 'VIRTUAL' END)
      WHEN s.identity IS NOT NULL THEN s.identity
      WHEN d.adbin IS NOT NULL THEN ' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid) ELSE '' END AS text
  FROM mine JOIN pg_class c ON c.oid = mine.oid JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  LEFT JOIN LATERAL (SELECT format(' GENERATED %s AS IDENTITY (SEQUENCE NAME %I.%I ', CASE a.attidentity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END, sn.nspname, sc.relname)
      || ${sequenceOptions} || ')' AS identity
    FROM pg_depend e JOIN pg_sequence q ON q.seqrelid = e.objid JOIN pg_class sc ON sc.oid = q.seqrelid JOIN pg_namespace sn ON sn.oid = sc.relnamespace
    WHERE e.classid = 'pg_class'::regclass AND e.refclassid = 'pg_class'::regclass AND e.refobjid = a.attrelid AND e.refobjsubid = a.attnum AND e.deptype = 'i'
      AND a.attidentity <> '') s ON true
  LEFT JOIN LATERAL (SELECT k.conname, k.convalidated AS valid, k.conislocal, k.connoinherit FROM pg_constraint k
    WHERE k.conrelid = a.attrelid AND k.contype = 'n' AND k.conkey = ARRAY[a.attnum]) nn ON true
  LEFT JOIN LATERAL (SELECT pa.attrelid, pg_get_expr(pd.adbin, pd.adrelid) AS expression FROM above
    JOIN pg_attribute pa ON pa.attrelid = above.parent AND pa.attname = a.attname AND pa.attnum > 0 AND NOT pa.attisdropped
    LEFT JOIN pg_attrdef pd ON pd.adrelid = pa.attrelid AND pd.adnum = pa.attnum
    WHERE above.child = a.attrelid ORDER BY above.inhseqno LIMIT 1) p ON NOT c.relispartition
),
checks AS (
  SELECT k.conrelid, format('CONSTRAINT %I %s', k.conname, pg_get_constraintdef(k.oid)) AS text, k.convalidated AS valid, k.conname
  FROM mine JOIN pg_class c ON c.oid = mine.oid JOIN pg_constraint k ON k.conrelid = c.oid
  WHERE k.contype IN ('c', 'n') AND (k.contype = 'c' OR NOT k.convalidated)
    AND (c.relispartition OR k.conislocal OR NOT EXISTS (SELECT FROM above WHERE child = c.oid))
),
told AS (
  SELECT attrelid, array_agg(text || not_null_text ORDER BY attnum) FILTER (WHERE attislocal OR NOT inherited) AS body,
    array_agg(format('ALTER COLUMN %I ', attname) || coalesce('SET DEFAULT ' || expression, 'DROP DEFAULT') ORDER BY attnum)
      FILTER (WHERE inherited AND NOT attislocal AND attgenerated = '' AND expression IS DISTINCT FROM above_expression) AS defaults,
    array_agg(CASE WHEN not_null IS NULL THEN format('ALTER COLUMN %I SET NOT NULL', attname) ELSE format('ADD CONSTRAINT %I NOT NULL %I', not_null, attname) END ORDER BY attnum)
      FILTER (WHERE inherited AND NOT attislocal AND attnotnull AND own_not_null AND coalesce(valid, true)) AS not_nulls
  FROM columns GROUP BY attrelid
),
checked AS (
  SELECT conrelid, array_agg(text ORDER BY conname) FILTER (WHERE valid) AS valid, array_agg(text ORDER BY conname) FILTER (WHERE NOT valid) AS not_valid
  FROM checks GROUP BY conrelid
)
SELECT c.oid::bigint::float8 AS oid, format('%I.%I', n.nspname, c.relname) AS sql, n.nspname AS schema, c.relpersistence = 'u' AS unlogged,
  c.relispartition AS partition, CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END AS key,
  ARRAY(SELECT a.parent::bigint::float8 FROM above a WHERE a.child = c.oid ORDER BY a.inhseqno) AS parents,
  ARRAY(SELECT y.typrelid::bigint::float8 FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid JOIN pg_type y ON y.oid IN (t.oid, t.typelem)
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND y.typrelid <> 0) AS rows,
  coalesce(told.body, '{}') || checked.valid AS body, coalesce(checked.not_valid, '{}') AS "notValid",
  coalesce(told.defaults, '{}') || told.not_nulls AS otherwise, pg_get_expr(c.relpartbound, c.oid) AS bound
FROM mine JOIN pg_class c ON c.oid = mine.oid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN told ON told.attrelid = c.oid LEFT JOIN checked ON checked.conrelid = c.oid
ORDER BY n.nspname, c.relname`

type TableRow = {
  oid: number
  sql: string
  schema: string
  unlogged: boolean
  partition: boolean
  key: string | null
  parents: number[]
  /** Of which it holds rows, in columns. */
  rows: number[]
  body: string[]
  notValid: string[]
  otherwise: string[]
  bound: string | null
}

/** What makes the tables, parents first: `attached` puts partitions below their tables, when all else of both is there. */
export async function readTables(
  connection: Connection,
  tables: readonly number[],
): Promise<{ statements: string[]; attached: string[]; schemas: string[] }> {
  const rows: TableRow[] = (await connection.query(tablesQuery, [tables])).rows
  const known = new Map(rows.map((row) => [row.oid, row]))
  const order = new Set<TableRow>()
  const begun = new Set<TableRow>()
  const visit = (row: TableRow | undefined) => {
    if (row === undefined || begun.has(row)) return
    begun.add(row)
    for (const needed of [...row.parents, ...row.rows]) visit(known.get(needed))
    order.add(row)
  }
  for (const row of rows) visit(row)
  const ordered = [...order]
  const parentsOf = (row: TableRow) => row.parents.flatMap((oid) => known.get(oid)?.sql ?? [])
  return {
    statements: [
      ...ordered.map((row) => createTable(row, row.partition ? [] : parentsOf(row))),
      ...ordered.flatMap(({ sql, notValid }) => notValid.map((check) => `ALTER TABLE ${sql} ADD ${check}`)),
      ...ordered.flatMap(({ sql, otherwise }) => otherwise.map((one) => `ALTER TABLE ONLY ${sql} ${one}`)),
    ],
    attached: ordered.flatMap((row) =>
      row.partition
        ? parentsOf(row).map(
            (parent) => `ALTER TABLE ONLY ${parent} ATTACH PARTITION ${row.sql} ${row.bound}`,
          )
        : [],
    ),
    schemas: rows.map(({ schema }) => schema),
  }
}

function createTable({ sql, unlogged, body, key }: TableRow, parents: readonly string[]): string {
  const lines = body.length === 0 ? '()' : `(\n${body.map((line) => `    ${line}`).join(',\n')}\n)`
  const inherits = parents.length === 0 ? '' : `\nINHERITS (${parents.join(', ')})`
  return `CREATE ${unlogged ? 'UNLOGGED ' : ''}TABLE ${sql} ${lines}${inherits}${key === null ? '' : `\nPARTITION BY ${key}`}`
}
