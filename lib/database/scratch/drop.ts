import type { Connection } from '../../postgres/connection.ts'
import { qualified, quote } from '../../postgres/identifiers.ts'
import { scratchPrefix, scratchSchemaOf } from './schema.ts'
import { inOneTransaction, lockWaitMs, relationsIn, tablesTogether } from './transaction.ts'

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
    [scratchPrefix, scratchSchemaOf(runId)],
  )
  for (const { name } of found.rows) await dropInPieces(connection, name, waitMs)
}

async function dropInPieces(connection: Connection, schema: string, waitMs = lockWaitMs): Promise<void> {
  const tables = await relationsIn(connection, schema)
  for (let start = 0; start < tables.length; start += tablesTogether) {
    const names = tables.slice(start, start + tablesTogether).map((table) => qualified({ schema, table }))
    await inOneTransaction(connection, [`DROP TABLE IF EXISTS ${names.join(', ')} CASCADE`], waitMs)
  }
  await inOneTransaction(connection, [`DROP SCHEMA IF EXISTS ${quote(schema)} CASCADE`], waitMs)
}
