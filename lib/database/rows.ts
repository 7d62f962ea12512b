import type { QueryResult } from '@neondatabase/serverless'
import type { Column } from '../backup/sections/database.ts'
import type { FingerprintFormat } from '../backup/sections/fingerprint.ts'
import type { Connection } from '../postgres/connection.ts'
import type { CopiedBytes } from '../postgres/copied-bytes.ts'
import { copyRows } from '../postgres/copy-out.ts'
import { qualified, quote } from '../postgres/identifiers.ts'
import { ownSearchPath } from '../postgres/search-path.ts'

/** A table, or its copy elsewhere, with the columns whose values make a row's text. */
export type Rows = {
  schema: string
  table: string
  columns: readonly Pick<Column, 'name' | 'type' | 'asText'>[]
}

/** A page range of one table: from page `from` (inclusive) to `to` (exclusive); null is open-ended. */
export type PageRange = { from: number; to: number | null }

/**
 * How a row becomes a line of a part. Columns are named, so that a copy with other columns beside them, or in another
 * order, gives the same text. JSON cannot tell jsonb 'null' from NULL, drops the white space of `json`, and knows no lower
 * bounds of arrays: such values go into it as text in Postgres' own notation.
 */
const line = 'pg_catalog.row_to_json(v.*)::pg_catalog.text'

/**
 * The one place that says what is hashed of a row; whatever is compared with a backup must use the backup's own format.
 * The record's text costs two thirds of the JSON's, and tells apart what that does: both write values by the output
 * functions of their types, or as the text that `rowsOf` makes of them.
 */
function hashOf(format: FingerprintFormat): string {
  if (format.version === 1) return `pg_catalog.hashtextextended(${line}, 0)`
  const seed = BigInt.asIntN(64, BigInt(format.seed)) // a number, for what comes from a bucket is not put into SQL
  return `pg_catalog.hashtextextended((v.*)::pg_catalog.text, '${seed}'::pg_catalog.int8)`
}

/**
 * `FROM …` for the rows of a table, with `r` as the table and `v` as the values; ONLY, because each child table is a table
 * of its own. The page range and the other condition are optional.
 * @see docs/decisions.md#values-that-json-cannot-carry-stand-as-text
 */
export function rowsOf(
  rows: Rows,
  { version }: Pick<FingerprintFormat, 'version'>,
  range?: PageRange | null,
  condition?: string,
): string {
  const values = rows.columns.map(({ name, type, asText }) => {
    const value = `r.${quote(name)}`
    return asText ? `${textOfValue(value, type, version)} AS ${quote(name)}` : value
  })
  // Known before the first row is read, so that no value is written under another path.
  const conditions = dependsOnPath(rows)
    ? ["(SELECT pg_catalog.set_config('search_path', 'pg_catalog', true)) IS NOT NULL"]
    : []
  if (range && range.from > 0) conditions.push(`r.ctid >= '(${range.from},0)'::pg_catalog.tid`)
  if (range && range.to !== null) conditions.push(`r.ctid < '(${range.to},0)'::pg_catalog.tid`)
  if (condition !== undefined) conditions.push(condition)
  const where = conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`
  return `FROM ONLY ${qualified(rows)} AS r CROSS JOIN LATERAL (SELECT ${values.join(', ')}) AS v${where}`
}

/**
 * A value as its type's output function writes it. A cast would ask the application's own (CREATE CAST … AS text), or that
 * of the type below a domain, and either may leave something out; version 1 has it.
 * @see docs/decisions.md#values-that-json-cannot-carry-stand-as-text
 */
export function textOfValue(value: string, type: string, version: FingerprintFormat['version']): string {
  if (version === 1 || !type.includes('.')) return `${value}::pg_catalog.text`
  // IS NOT NULL would be false of a record whose fields are NULL, too.
  return `CASE WHEN ${value} IS DISTINCT FROM NULL THEN pg_catalog.concat(${value}) END`
}

/**
 * Whether the text of values depends on the search path: that of `regclass` and its like, which may also be inside a type
 * of the application (only their names have a schema).
 */
export function dependsOnPath({ columns }: Rows): boolean {
  return columns.some(
    ({ type, asText }) =>
      /^reg(class|proc|procedure|oper|operator|type|config|dictionary|collation)\b/.test(type) ||
      (asText && type.includes('.')),
  )
}

/**
 * Runs a query made of `rowsOf`, which is planned under the role's own search path, and if need be executed under the
 * pinned one. To be called in a transaction that has the own search path.
 */
export async function queryRows(connection: Connection, tables: readonly Rows[], text: string) {
  if (!tables.some(dependsOnPath)) return (await connection.query(text)).rows
  const answers: unknown = await connection.query(`${text}; ${ownSearchPath}`)
  return (answers as QueryResult[])[0]?.rows ?? []
}

/** The same for a query whose fields come as bytes. */
export async function copyRowsOf(connection: Connection, table: Rows, query: string, copied: CopiedBytes) {
  return copyRows(connection, { query, after: dependsOnPath(table) ? ownSearchPath : '' }, copied)
}

/**
 * A subquery with `tid` and `line` per row, and with its `hash` when a format is given. OFFSET 0 keeps the planner from
 * computing the text once per use.
 */
export function linesOf(from: string, format?: FingerprintFormat): string {
  const hash = format === undefined ? '' : `, ${hashOf(format)} AS hash`
  return `(SELECT r.ctid AS tid, ${line} AS line${hash} ${from} OFFSET 0) AS lines`
}

/** The hash of each row, and where it lies. */
export function hashesOf(from: string, format: FingerprintFormat): string {
  return `SELECT ${hashOf(format)} AS hash, r.ctid AS tid ${from}`
}

/**
 * Count and fingerprint of rows: the sum of their hashes, which does not depend on the order and adds up over page ranges.
 * Without OFFSET 0, so that the server may use parallel workers.
 * @param hashed which rows are in the sum; all are counted
 */
export function fingerprintOf(from: string, format: FingerprintFormat, hashed?: string): string {
  const sum = `pg_catalog.sum(${hashOf(format)})${hashed === undefined ? '' : ` FILTER (WHERE ${hashed})`}`
  return `SELECT pg_catalog.count(*)::pg_catalog.text AS rows, coalesce(${sum}, 0)::pg_catalog.text AS fingerprint ${from}`
}

/**
 * The same for each range of so many pages of the table (a power of two up to 256), by the range's number; those without rows
 * are left out. Rows are grouped by bytes of their place as Postgres sends it, of which the first four are the page: no other
 * way to a number of it is as cheap.
 */
export function rangesOf(from: string, format: FingerprintFormat, pages: number): string {
  const place = 'pg_catalog.tidsend(r.ctid)'
  const byte = (at: number) => `pg_catalog.get_byte(high, ${at})`
  const range = `((${byte(0)} * 256 + ${byte(1)}) * 256 + ${byte(2)}) * ${256 / pages} + low AS range`
  return `SELECT ${range}, rows, fingerprint FROM (SELECT pg_catalog.substr(${place}, 1, 3) AS high, pg_catalog.get_byte(${place}, 3) / ${pages} AS low, pg_catalog.count(*)::pg_catalog.text AS rows, pg_catalog.sum(${hashOf(format)})::pg_catalog.text AS fingerprint ${from} GROUP BY 1, 2) AS grouped`
}
