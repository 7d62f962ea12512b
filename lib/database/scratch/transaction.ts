import type { Connection } from '../../postgres/connection.ts'
import { databaseError } from '../../postgres/errors.ts'
import { isOfTheRows } from '../savepoint.ts'
import { forbidden } from './event-triggers.ts'

/** Tables that are made or dropped in one transaction: each holds a few of the server's locks until its end. */
export const tablesTogether = 200

/**
 * Milliseconds that a step waits for a lock on a scratch table, which only an invocation of a dead run can hold, or on the
 * live table that one is made after.
 */
export const lockWaitMs = 15_000

/** Statements that are sent as one text are carried out as one transaction. */
export async function inOneTransaction(
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

/** `loaded` comes first: a schema that is half dropped must not say that its parts are there. */
export async function relationsIn(connection: Connection, schema: string): Promise<string[]> {
  const found = await connection.query(
    `SELECT c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = $1 AND c.relkind = 'r' ORDER BY c.relname <> 'loaded', c.relname`,
    [schema],
  )
  return found.rows.map(({ name }) => name)
}
