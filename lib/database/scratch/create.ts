import { agreeing, counted } from '../../amounts.ts'
import type { BackedUpTable, TableDefinition } from '../../backup/sections/database.ts'
import { StoreUnavailable } from '../../errors.ts'
import type { Connection } from '../../postgres/connection.ts'
import { literal, qualified, quote } from '../../postgres/identifiers.ts'
import { checkOwnSchema, createOwnSchema } from '../../postgres/own-schema.ts'
import { isHeldAsText, scratchSchemaOf, scratchTableOf } from './schema.ts'
import { inOneTransaction, relationsIn, tablesTogether } from './transaction.ts'

/**
 * Creates what is missing of the run's scratch schema: the columns that were backed up, with the live types and nothing
 * that could refuse a row; generated columns are plain ones, which hold what was backed up. Several functions may do it at
 * once; a repeat changes nothing.
 * The tables are UNLOGGED: no publication sends them to a subscriber, and they cost no write-ahead log. A server that
 * crashed has emptied all of them, `loaded` as well.
 * @throws DatabaseBusy, NotPermitted
 * @see docs/decisions.md#scratch-tables-are-unlogged
 * @see docs/decisions.md#what-a-run-makes-in-the-database-is-the-roles-alone
 */
export async function ensureScratch(
  connection: Connection,
  { runId, tables }: { runId: string; tables: readonly TableDefinition[] },
): Promise<void> {
  const name = scratchSchemaOf(runId)
  const schema = quote(name)
  await inOneTransaction(connection, [
    // CREATE … IF NOT EXISTS alone fails when two sessions create the same at the same moment.
    `SELECT pg_advisory_xact_lock(hashtextextended(${literal(schema)}, 0))`,
    await createOwnSchema(connection, name),
    `CREATE UNLOGGED TABLE IF NOT EXISTS ${schema}.loaded (key text PRIMARY KEY)`,
    `CREATE UNLOGGED TABLE IF NOT EXISTS ${schema}.spared (name text PRIMARY KEY, how text NOT NULL)`,
    `CREATE UNLOGGED TABLE IF NOT EXISTS ${schema}.looked (name text PRIMARY KEY, look text NOT NULL)`,
  ])
  await checkOwnSchema(connection, name)
  const there = new Set(await relationsIn(connection, name))
  const missing = tables.filter((table) => !there.has(scratchTableOf(runId, table).table))
  for (let start = 0; start < missing.length; start += tablesTogether) {
    const creates = missing
      .slice(start, start + tablesTogether)
      .map(
        (table) =>
          `CREATE UNLOGGED TABLE IF NOT EXISTS ${qualified(scratchTableOf(runId, table))} AS SELECT ${heldColumns(table)} FROM ONLY ${qualified(table)} WITH NO DATA`,
      )
    const alone = `SELECT pg_advisory_xact_lock(hashtextextended(${literal(schema)}, 0))`
    await inOneTransaction(connection, [alone, ...creates])
  }
}

/**
 * Whether every part that has rows was loaded and is still there. A server that crashed, or was promoted, has emptied its
 * unlogged tables: what is missing then is not the backup's fault.
 * @throws StoreUnavailable
 */
export async function checkLoaded(
  connection: Connection,
  { runId, tables }: { runId: string; tables: readonly BackedUpTable[] },
): Promise<void> {
  const keys = tables.flatMap(({ parts }) => parts.flatMap(({ key }) => key ?? []))
  if (keys.length === 0) return // there may be no such schema
  const found = await connection.query(
    `SELECT count(*)::int AS missing FROM unnest($1::text[]) AS part(key)
     WHERE NOT EXISTS (SELECT FROM ${quote(scratchSchemaOf(runId))}.loaded AS l WHERE l.key = part.key)`,
    [keys],
  )
  const missing = found.rows[0]?.missing
  if (missing === 0) return
  throw new StoreUnavailable(
    `${missing} of ${counted(keys.length, 'part')} that ${agreeing(keys.length, 'was', 'were')} loaded into the scratch schema ${agreeing(missing, 'is', 'are')} no longer there: the database was restarted in between, which empties it. The live tables were not touched; start again`,
  )
}

/**
 * Tables whose copy has other columns than they: it was made while a migration was on its way that was taken back since, and
 * need not hold what was loaded into it.
 */
export async function findMigrated(
  connection: Connection,
  { runId, tables }: { runId: string; tables: readonly TableDefinition[] },
): Promise<string[]> {
  const found = await connection.query(
    `SELECT c.relname AS "table", json_agg(json_build_array(a.attname, format_type(a.atttypid, a.atttypmod)) ORDER BY a.attnum) AS columns
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
     WHERE n.nspname = $1 AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped GROUP BY c.relname`,
    [scratchSchemaOf(runId)],
  )
  const copies = new Map(found.rows.map((row) => [row.table, JSON.stringify(row.columns)]))
  return tables.flatMap((table) => {
    const copy = copies.get(scratchTableOf(runId, table).table)
    const columns = table.columns.map((column) => [column.name, isHeldAsText(column) ? 'text' : column.type])
    return copy === undefined || copy === JSON.stringify(columns) ? [] : [table.name]
  })
}

/** What a copy of a table is selected from it by, so that it takes all rows that were backed up. */
export function heldColumns({ columns }: Pick<TableDefinition, 'columns'>): string {
  return columns
    .map((column) =>
      isHeldAsText(column)
        ? `${quote(column.name)}::pg_catalog.text AS ${quote(column.name)}`
        : quote(column.name),
    )
    .join(', ')
}
