import { ledgerSchema } from '../ledger/schema.ts'
import type { Connection } from '../postgres/connection.ts'
import { sqlStateOf } from '../postgres/errors.ts'

/**
 * A command that takes a number, so that the server looks at all that the last one told its caches: ALTER DOMAIN tells them
 * something after its last number, and PostgreSQL 18 then refuses a savepoint ("unprocessed inval messages").
 */
const settled = `SELECT FROM ${ledgerSchema.schemaName}.environment WHERE false FOR UPDATE`

/**
 * Tries something in the middle of a transaction, which goes on when rows, or the application's own expressions, refuse it.
 * @returns the error in that case; any other (a lock, a lost connection, a right) is thrown
 */
export async function inSavepoint(
  connection: Connection,
  use: () => Promise<unknown>,
  isExpected: (error: unknown) => boolean = isOfTheRows,
): Promise<unknown> {
  await connection.query(`${settled}; SAVEPOINT attempt`)
  try {
    await use()
  } catch (error) {
    if (!isExpected(error)) throw error
    await connection.query('ROLLBACK TO SAVEPOINT attempt; RELEASE SAVEPOINT attempt')
    return error
  }
  await connection.query('RELEASE SAVEPOINT attempt')
  return undefined
}

/**
 * Whether rows or expressions are the reason of a Postgres error. A function may raise any code; these classes speak of
 * connections, transactions, locks, resources, operators and the server itself.
 */
export function isOfTheRows(error: unknown): boolean {
  const state = sqlStateOf(error)
  return state !== undefined && !/^(08|25|28|40|53|55|57|58|F0|XX)|^42501$/.test(state)
}
