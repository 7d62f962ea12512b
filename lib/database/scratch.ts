import { createHash } from 'node:crypto'
import { agreeing, counted } from '../amounts.ts'
import type { BackedUpTable, Column, TableDefinition } from '../backup/manifest.ts'
import { messageOf, NotPermitted, StoreUnavailable } from '../errors.ts'
import type { Connection } from '../postgres/connection.ts'
import { databaseError, sqlStateOf } from '../postgres/errors.ts'
import { literal, qualified, quote } from '../postgres/identifiers.ts'
import type { Table } from './catalog/catalog.ts'
import type { Rows } from './rows.ts'
import { isOfTheRows } from './savepoint.ts'

/** Where a run loads a backup to look at it: a schema of its own, dropped by the step that compared or restored. */
const prefix = 'taskmaster_scratch_'

export function scratchSchemaOf(runId: string): string {
  return `${prefix}${createHash('sha256').update(runId).digest('hex').slice(0, 16)}`
}

/** The copy of a table there. Named by number: a name made of schema and table could exceed Postgres' 63 bytes. */
export function scratchTableOf(runId: string, table: Pick<TableDefinition, 'oid' | 'columns'>): Rows {
  return { schema: scratchSchemaOf(runId), table: `t${table.oid}`, columns: table.columns }
}

/** Tables that are made or dropped in one transaction: each holds a few of the server's locks until its end. */
const together = 200

/**
 * Milliseconds that a step waits for a lock on a scratch table, which only an invocation of a dead run can hold, or on the
 * live table that one is made after.
 */
const lockWaitMs = 15_000

/**
 * Values of the application's own types (domains, composite types, arrays of them) are kept there as the text that was
 * backed up: a domain may refuse what its rows have held for long, when its constraint is NOT VALID or asks a function.
 * @see docs/decisions.md#scratch-tables-hold-nothing-that-could-refuse-a-row
 */
export function isHeldAsText({ type, asText }: Pick<Column, 'type' | 'asText'>): boolean {
  return asText && type.includes('.')
}

function heldColumns({ columns }: Pick<TableDefinition, 'columns'>): string {
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
 * The tables are UNLOGGED: no publication sends them to a subscriber, and they cost no write-ahead log. A server that
 * crashed has emptied all of them, `loaded` as well.
 * @throws DatabaseBusy
 * @see docs/decisions.md#scratch-tables-are-unlogged
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
    `CREATE SCHEMA IF NOT EXISTS ${schema}`,
    `CREATE UNLOGGED TABLE IF NOT EXISTS ${schema}.loaded (key text PRIMARY KEY)`,
  ])
  const there = new Set(await relationsIn(connection, name))
  const missing = tables.filter((table) => !there.has(scratchTableOf(runId, table).table))
  for (let start = 0; start < missing.length; start += together) {
    const creates = missing
      .slice(start, start + together)
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

/** Drops the run's scratch schema, some tables at a time. Repeating it changes nothing. @throws DatabaseBusy */
export async function dropScratch(connection: Connection, runId: string): Promise<void> {
  await dropInPieces(connection, scratchSchemaOf(runId))
}

/**
 * Drops what dead runs left: every scratch schema but the given run's. To be called by the run that holds the lock.
 * @throws DatabaseBusy when an invocation of a dead run still holds one of the tables
 */
export async function dropLeftovers(
  connection: Connection,
  runId: string,
  waitMs = lockWaitMs,
): Promise<void> {
  const found = await connection.query(
    `SELECT nspname AS name FROM pg_namespace WHERE starts_with(nspname, $1) AND nspname <> $2`,
    [prefix, scratchSchemaOf(runId)],
  )
  for (const { name } of found.rows) await dropInPieces(connection, name, waitMs)
}

/**
 * Looks whether an event trigger forbids what a scratch schema needs, before a run relies on it. What is tried is undone.
 * @throws NotPermitted naming the event triggers
 */
export async function checkScratchAllowed(connection: Connection, runId: string): Promise<void> {
  if ((await eventTriggers(connection)) === null) return
  const schema = quote(`${scratchSchemaOf(runId)}_try`)
  await connection.query('BEGIN')
  try {
    await connection.query(`CREATE SCHEMA ${schema}; CREATE UNLOGGED TABLE ${schema}.t (i int);
      DROP TABLE ${schema}.t CASCADE; DROP SCHEMA ${schema} CASCADE`)
  } catch (cause) {
    if (sqlStateOf(cause) === undefined) throw cause
    await connection.query('ROLLBACK')
    throw await forbidden(connection, cause)
  } finally {
    await connection.query('ROLLBACK')
  }
}

/** The names of those that could forbid it, for people; null: there are none. */
async function eventTriggers(connection: Connection): Promise<string | null> {
  const found = await connection.query(
    `SELECT string_agg(evtname, ', ' ORDER BY evtname) AS names FROM pg_event_trigger
     WHERE evtenabled <> 'D' AND evtevent IN ('ddl_command_start', 'ddl_command_end', 'sql_drop')`,
  )
  return found.rows[0]?.names
}

async function forbidden(connection: Connection, cause: unknown): Promise<NotPermitted> {
  const names = (await eventTriggers(connection)) ?? 'none any more'
  return new NotPermitted(
    `A schema ${prefix}… in which a backup is loaded cannot be made and dropped again; the database has the event triggers ${names} (${messageOf(cause)}). The live tables were not touched; let them pass for schemas of that name, or for this role`,
    { cause },
  )
}

async function dropInPieces(connection: Connection, schema: string, waitMs = lockWaitMs): Promise<void> {
  const tables = await relationsIn(connection, schema)
  for (let start = 0; start < tables.length; start += together) {
    const names = tables.slice(start, start + together).map((table) => qualified({ schema, table }))
    await inOneTransaction(connection, [`DROP TABLE IF EXISTS ${names.join(', ')} CASCADE`], waitMs)
  }
  await inOneTransaction(connection, [`DROP SCHEMA IF EXISTS ${quote(schema)} CASCADE`], waitMs)
}

/** `loaded` comes first: a schema that is half dropped must not say that its parts are there. */
async function relationsIn(connection: Connection, schema: string): Promise<string[]> {
  const found = await connection.query(
    `SELECT c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = $1 AND c.relkind = 'r' ORDER BY c.relname <> 'loaded', c.relname`,
    [schema],
  )
  return found.rows.map(({ name }) => name)
}

/** Statements that are sent as one text are carried out as one transaction. */
async function inOneTransaction(
  connection: Connection,
  statements: readonly string[],
  waitMs = lockWaitMs,
): Promise<void> {
  try {
    await connection.query([`SET LOCAL lock_timeout = ${waitMs}`, ...statements].join('; '))
  } catch (cause) {
    const error = databaseError(cause)
    // What an event trigger raises; no other code of the application is asked here.
    throw error === cause && isOfTheRows(cause) ? await forbidden(connection, cause) : error
  }
}
