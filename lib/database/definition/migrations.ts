import { definitionLimits, type Migrations } from '../../backup/sections/definition.ts'
import type { Connection } from '../../postgres/connection.ts'
import { literal, plainName, qualified, quote, type Relation } from '../../postgres/identifiers.ts'
import { isBookkeeping } from '../catalog/bookkeeping.ts'

type Bookkeeping = Relation & { name: string; oid: number; bytes: number; columns: string[] }

/** A schema of their own, which nobody manages: drizzle-kit's. */
const ofTools = ['drizzle']

const findQuery = `
SELECT ${plainName('n.nspname', 'c.relname')} AS name, n.nspname AS schema, c.relname AS "table", c.oid::bigint::float8 AS oid, pg_table_size(c.oid)::float8 AS bytes,
  (SELECT coalesce(json_agg(a.attname ORDER BY a.attnum), '[]') FROM pg_attribute a
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '') AS columns
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname = ANY($1) AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
ORDER BY n.nspname, c.relname`

/** The tables in which migration tools note what they have run, as far as the role may read them. */
export async function findBookkeeping(
  connection: Connection,
  schemas: readonly string[],
): Promise<Bookkeeping[]> {
  const { rows } = await connection.query(findQuery, [[...schemas, ...ofTools]])
  return rows.filter(({ table }) => isBookkeeping(table))
}

/** Before anything of a table is read: what it takes on its disk is compressed, and may be mostly empty. */
const mostBytes = 4 * 2 ** 20

/** What the tables of migration tools say; null: they say more than a manifest takes. */
export async function readMigrations(
  connection: Connection,
  tables: readonly Bookkeeping[],
): Promise<Migrations[] | null> {
  const { rows: mostRows, migrations: longest } = definitionLimits
  const read: Migrations[] = []
  let [rows, bytes] = [0, 0]
  for (const { schema, table, bytes: size, columns } of tables) {
    if (size > mostBytes) return null
    const values = columns.map((name) => `${quote(name)}::text`).join(', ')
    const answer = await connection.query({
      text: `SELECT ${values} FROM ONLY ${qualified({ schema, table })} LIMIT ${mostRows + 1}`,
      rowMode: 'array',
    })
    rows += answer.rows.length
    bytes += Buffer.byteLength(JSON.stringify(answer.rows))
    if (rows > mostRows || bytes > longest) return null
    read.push({ schema, table, columns: [...columns], rows: answer.rows as (string | null)[][] })
  }
  return read
}

/**
 * SQL that puts them into tables that have none, '' for no rows: one statement, at the end of which foreign keys are asked. So a
 * row may come before the one that it refers to, in its own table or in another of them.
 */
export function insertOf(all: readonly Migrations[]): string {
  const inserts = all.filter(({ rows }) => rows.length > 0).map(insertInto)
  const last = inserts.pop()
  if (last === undefined || inserts.length === 0) return last ?? ''
  const others = inserts.map((insert, at) => `rows${at} AS (${insert})`)
  return `WITH ${others.join(',\n')}\n${last}`
}

function insertInto({ schema, table, columns, rows }: Migrations): string {
  const value = (text: string | null) => (text === null ? 'NULL' : literal(text))
  const lines = rows.map((row) => `  (${row.map(value).join(', ')})`)
  const into = `${qualified({ schema, table })} (${columns.map(quote).join(', ')})`
  return `INSERT INTO ${into} OVERRIDING SYSTEM VALUE VALUES\n${lines.join(',\n')}`
}

/** Puts them into tables that have none. */
export async function putMigrations(connection: Connection, all: readonly Migrations[]): Promise<void> {
  const insert = insertOf(all)
  if (insert !== '') await connection.query(insert)
  for (const { schema, table, columns } of all)
    for (const column of columns) await goOnBehind(connection, { schema, table }, column)
}

/** The tool's next row gets a number of its own; from below 1 no sequence of theirs begins. */
async function goOnBehind(connection: Connection, relation: Relation, column: string): Promise<void> {
  const named = [qualified(relation), column]
  const { rows } = await connection.query('SELECT pg_get_serial_sequence($1, $2) AS sequence', named)
  const sequence = rows[0]?.sequence
  if (sequence === null) return
  const last = `SELECT setval($1::regclass, max(${quote(column)})) FROM ONLY ${qualified(relation)} HAVING max(${quote(column)}) > 0`
  await connection.query(last, [sequence])
}
