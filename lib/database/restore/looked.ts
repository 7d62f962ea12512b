import * as z from 'zod'
import type { TableDefinition } from '../../backup/sections/database.ts'
import type { Connection } from '../../postgres/connection.ts'
import { qualified, quote } from '../../postgres/identifiers.ts'
import { sumOf } from '../difference/matching.ts'
import type { TableRanges } from '../ranges.ts'
import { scratchSchemaOf } from '../scratch/schema.ts'
import type { TablePair } from '../table-pair.ts'

/** What all rows of a table were at one moment, and by what is told that none of them was written since. */
const Look = z.strictObject({
  /** Each transaction with a lower number had ended by then. */
  before: z.string().regex(/^\d{1,20}$/),
  /** The table, the file in which it lies, and which values its rows have. */
  shape: z.string(),
  ranges: z.array(z.strictObject({ range: z.number(), rows: z.number(), fingerprint: z.string() })),
})
export type Look = z.output<typeof Look>

/** Of more ranges (4 GiB of pages) none is noted: they lie in the note as 3 MB. */
const mostRanges = 32_768

/** Of transactions Postgres compares the lower halves of their numbers. */
const farthest = 2n ** 31n

/**
 * A column that was dropped and added again, or renamed, is another one although no row was written, and so may the table be of a
 * schema that was renamed, which no lock on the table prevents: a rename makes another version of the schema's row. What is below 16384 was
 * made with the server, whatever schema it is in.
 */
const shape = `SELECT concat_ws(' ', attrelid, pg_relation_filenode(attrelid),
  (SELECT concat_ws(' ', n.oid, n.xmin) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = attrelid),
  md5(string_agg(concat_ws(' ', attnum, atttypid, quote_ident(attname)), ',' ORDER BY attnum))) AS shape, bool_and(atttypid < 16384) AS plain
  FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 GROUP BY attrelid`

/**
 * Begins the transaction that reads the ranges, and sees one moment. What the table and its columns are called stands before
 * that moment is chosen: by names rows are read, and a migration that ends in between would give them to others.
 */
export async function beginLook(connection: Connection, { live }: TablePair): Promise<void> {
  await connection.query(
    `BEGIN ISOLATION LEVEL REPEATABLE READ; LOCK TABLE ONLY ${qualified(live)} IN ACCESS SHARE MODE`,
  )
}

/**
 * To be called in the transaction that has read the ranges.
 * @returns null for a table whose rows may get another text without being written
 */
export async function lookOf(
  connection: Connection,
  { table, live }: TablePair,
  ranges: TableRanges,
): Promise<Look | null> {
  if (ranges.length > mostRanges || !isTextOfValuesAlone(table)) return null
  const found = await connection.query(shape, [qualified(live)])
  if (!found.rows[0]?.plain) return null
  const now = await connection.query('SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS before')
  return { before: now.rows[0]?.before, shape: found.rows[0]?.shape, ranges }
}

/** Labels of enums, names of tables, schemas and roles, fields of a type can be renamed; what types of the application write, it decides. */
function isTextOfValuesAlone({ columns }: TableDefinition): boolean {
  return !columns.some(({ type }) => /\.|^(aclitem|reg|pg_)/.test(type))
}

/** Notes it in the scratch schema; each is whole in itself, so it does not matter whose is there. */
export async function noteLooks(
  connection: Connection,
  runId: string,
  looks: ReadonlyMap<string, Look>,
): Promise<void> {
  for (const [name, look] of looks)
    await connection.query(
      `INSERT INTO ${quote(scratchSchemaOf(runId))}.looked VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET look = excluded.look`,
      [name, JSON.stringify(look)],
    )
}

/** The names of the tables of which one is noted. */
export async function readLooked(connection: Connection, runId: string): Promise<Set<string>> {
  const found = await connection.query(`SELECT name FROM ${quote(scratchSchemaOf(runId))}.looked`)
  return new Set(found.rows.map(({ name }) => name))
}

/**
 * The ranges of a table as they were noted, when they are what it holds now; else null. A version of a row never changes:
 * when as many as were there then are visible, all of transactions that had ended by then, these are the same ones.
 * In a transaction of which the locks keep writers away, before it writes.
 * @see docs/decisions.md#what-was-looked-at-is-proved-by-its-versions
 */
export async function stillLooked(
  connection: Connection,
  { runId, pair: { table, live } }: { runId: string; pair: TablePair },
): Promise<TableRanges | null> {
  const noted = await connection.query(
    `SELECT look FROM ${quote(scratchSchemaOf(runId))}.looked WHERE name = $1`,
    [table.name],
  )
  if (noted.rows.length === 0) return null
  const look = Look.parse(JSON.parse(noted.rows[0]?.look))
  const now = await connection.query(shape, [qualified(live)])
  if (now.rows[0]?.shape !== look.shape) return null
  const versions = await connection.query(
    `SELECT count(*)::text AS rows, (count(*) FILTER (WHERE age(r.xmin) > (SELECT age($1::text::xid8::xid))))::text AS older,
       pg_snapshot_xmax(pg_current_snapshot())::text AS next FROM ONLY ${qualified(live)} AS r`,
    [look.before],
  )
  if (BigInt(versions.rows[0]?.next) - BigInt(look.before) >= farthest) return null
  const rows = String(sumOf(look.ranges).rows)
  return versions.rows[0]?.rows === rows && versions.rows[0]?.older === rows ? look.ranges : null
}
