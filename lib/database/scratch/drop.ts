import type { Connection } from '../../postgres/connection.ts'
import { qualified, quote } from '../../postgres/identifiers.ts'
import { scratchPrefix, scratchSchemaOf } from './schema.ts'
import { inOneTransaction, lockWaitMs, relationsIn, tablesTogether } from './transaction.ts'

/** Drops the run's scratch schema, some tables at a time. Repeating it changes nothing. @throws DatabaseBusy */
export async function dropScratch(connection: Connection, runId: string): Promise<void> {
  await dropInPieces(connection, scratchSchemaOf(runId))
}

/** How a session that belongs to no run is called: the run that begins ends it where it holds what is in the way. */
export const givesWay = 'taskmaster-reset upload'

/**
 * Drops what dead runs left: every scratch schema but the given run's. To be called by the run that holds the lock. Sessions
 * of an upload that hold a table there are ended: one that stands still does not look whether it has to give way.
 * @throws DatabaseBusy when an invocation of a dead run still holds one of the tables
 */
export async function dropLeftovers(
  connection: Connection,
  runId: string,
  waitMs = lockWaitMs,
): Promise<void> {
  const found = await connection.query(
    `SELECT nspname AS name FROM pg_namespace WHERE starts_with(nspname, $1) AND nspname <> $2`,
    [scratchPrefix, scratchSchemaOf(runId)],
  )
  for (const { name } of found.rows) {
    await endUploads(connection, name)
    await dropInPieces(connection, name, waitMs)
  }
}

/**
 * Those of our own role, whose names alone are shown. A COPY that waits for its client is not cancelled by less. Where the role
 * may not end them, they are waited for.
 */
async function endUploads(connection: Connection, schema: string): Promise<void> {
  const ended = connection.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE application_name = $2 AND usename = current_user AND pid IN (
       SELECT l.pid FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE n.nspname = $1 AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()))`,
    [schema, givesWay],
  )
  await ended.catch(() => {})
}

async function dropInPieces(connection: Connection, schema: string, waitMs = lockWaitMs): Promise<void> {
  const tables = await relationsIn(connection, schema)
  for (let start = 0; start < tables.length; start += tablesTogether) {
    const names = tables.slice(start, start + tablesTogether).map((table) => qualified({ schema, table }))
    await inOneTransaction(connection, [`DROP TABLE IF EXISTS ${names.join(', ')} CASCADE`], waitMs)
  }
  await inOneTransaction(connection, [`DROP SCHEMA IF EXISTS ${quote(schema)} CASCADE`], waitMs)
}
