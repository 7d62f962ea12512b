import { createHash } from 'node:crypto'
import type { BackedUpTable } from '../backup/manifest.ts'
import type { Connection } from '../clients.ts'
import type { Column, Table } from './catalog.ts'
import { literal, qualified, quote } from './identifiers.ts'
import type { Rows } from './rows.ts'

/** Where a run loads a backup to look at it: a schema of its own, dropped by the step that compared or restored. */
const prefix = 'taskmaster_scratch_'

export function scratchSchemaOf(runId: string): string {
  return `${prefix}${createHash('sha256').update(runId).digest('hex').slice(0, 16)}`
}

/** The copy of a table there. Named by number: a name made of schema and table could exceed Postgres' 63 bytes. */
export function scratchTableOf(runId: string, table: BackedUpTable): Rows {
  return { schema: scratchSchemaOf(runId), table: `t${table.oid}`, columns: table.columns }
}

/**
 * Values of the application's own types (domains, composite types, arrays of them) are kept there as the text that was
 * backed up: a domain may refuse what its rows have held for long, when its constraint is NOT VALID or asks a function.
 */
export function isHeldAsText({ type, asText }: Pick<Column, 'type' | 'asText'>): boolean {
  return asText && type.includes('.')
}

function heldColumns({ columns }: BackedUpTable): string {
  return columns
    .map((column) =>
      isHeldAsText(column)
        ? `${quote(column.name)}::pg_catalog.text AS ${quote(column.name)}`
        : quote(column.name),
    )
    .join(', ')
}

/**
 * For FROM: the rows of a table there, with the types that the live table has. Under the live table's name its own
 * expressions (checks, generated columns) can be asked of them.
 */
export function typedRows(runId: string, table: BackedUpTable, live: Table, alias = table.table): string {
  const typeOf = new Map(live.columns.map(({ name, type }) => [name, type]))
  const values = table.columns.map((column) =>
    isHeldAsText(column)
      ? `r.${quote(column.name)}::${typeOf.get(column.name)} AS ${quote(column.name)}`
      : `r.${quote(column.name)}`,
  )
  return `(SELECT ${values.join(', ')} FROM ${qualified(scratchTableOf(runId, table))} AS r) AS ${quote(alias)}`
}

/**
 * Creates what is missing of the run's scratch schema: the columns that were backed up, with the live types and nothing
 * that could refuse a row; generated columns are plain ones, which hold what was backed up. Several functions may do it at
 * once; a repeat changes nothing.
 */
export async function ensureScratch(
  connection: Connection,
  { runId, tables }: { runId: string; tables: readonly BackedUpTable[] },
): Promise<void> {
  const schema = quote(scratchSchemaOf(runId))
  const statements = [
    'BEGIN',
    // CREATE … IF NOT EXISTS alone fails when two sessions create the same at the same moment.
    `SELECT pg_advisory_xact_lock(hashtextextended(${literal(schema)}, 0))`,
    `CREATE SCHEMA IF NOT EXISTS ${schema}`,
    `CREATE TABLE IF NOT EXISTS ${schema}.loaded (key text PRIMARY KEY)`,
    ...tables.map(
      (table) =>
        `CREATE TABLE IF NOT EXISTS ${qualified(scratchTableOf(runId, table))} AS SELECT ${heldColumns(table)} FROM ONLY ${qualified(table)} WITH NO DATA`,
    ),
    'COMMIT',
  ]
  await connection.query(statements.join(';\n'))
}

export async function dropScratch(connection: Connection, runId: string): Promise<void> {
  await connection.query(`DROP SCHEMA IF EXISTS ${quote(scratchSchemaOf(runId))} CASCADE`)
}

/** Drops what dead runs left: every scratch schema but the given run's. To be called by the run that holds the lock. */
export async function dropLeftovers(connection: Connection, runId: string): Promise<void> {
  const found = await connection.query(
    `SELECT nspname AS name FROM pg_namespace WHERE starts_with(nspname, $1) AND nspname <> $2`,
    [prefix, scratchSchemaOf(runId)],
  )
  for (const { name } of found.rows) await connection.query(`DROP SCHEMA IF EXISTS ${quote(name)} CASCADE`)
}
