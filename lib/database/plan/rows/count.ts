import type { Clients } from '../../../clients.ts'
import type { Config } from '../../../config/variables.ts'
import { InvalidConfiguration, messageOf } from '../../../errors.ts'
import type { Connection } from '../../../postgres/connection.ts'
import { databaseError, sqlStateOf } from '../../../postgres/errors.ts'
import { qualified } from '../../../postgres/identifiers.ts'
import { ownSearchPath } from '../../../postgres/search-path.ts'
import { withConnection } from '../../../postgres/with-connection.ts'
import { beginSnapshot } from '../../snapshot.ts'

export type TableToCount = { name: string; schema: string; table: string; keepRows: string | null }
export type Count = { rows: number; keptRows: number }

/** Tables counted in one statement. */
const together = 50

/**
 * Exact rows per table, and how many of them match the table's condition to keep rows; all of one snapshot.
 * @throws InvalidConfiguration when Postgres refuses a condition of PRESERVE_ROWS
 * @throws RowsHidden, NotPermitted, DatabaseBusy
 */
export async function countTables(
  clients: Clients,
  tables: readonly TableToCount[],
): Promise<Map<string, Count>> {
  return withConnection(clients, (connection) => countInSnapshot(connection, clients.config, tables))
}

/** The same on a connection that is open; an error leaves it in a transaction that failed. */
export async function countInSnapshot(
  connection: Connection,
  { LOCK_TIMEOUT_MS }: Pick<Config, 'LOCK_TIMEOUT_MS'>,
  tables: readonly TableToCount[],
): Promise<Map<string, Count>> {
  await connection.query(`${beginSnapshot}; SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS}; ${ownSearchPath}`)
  const counts = await countOn(connection, tables)
  await connection.query('COMMIT')
  return counts
}

/** The same in the transaction, and with the limits, that the connection has. */
export async function countOn(
  connection: Connection,
  tables: readonly TableToCount[],
): Promise<Map<string, Count>> {
  const counts = new Map<string, Count>()
  for (const table of tables) {
    if (table.keepRows !== null) counts.set(table.name, await countKept(connection, table, table.keepRows))
  }
  const plain = tables.filter(({ keepRows }) => keepRows === null)
  for (let start = 0; start < plain.length; start += together) {
    const piece = plain.slice(start, start + together)
    const selects = piece.map(
      (table, at) =>
        `SELECT ${at} AS at, pg_catalog.count(*)::pg_catalog.float8 AS rows FROM ONLY ${qualified(table)}`,
    )
    const answer = await connection.query(selects.join('\nUNION ALL ')).catch((error: unknown) => {
      throw databaseError(error)
    })
    for (const { at, rows } of answer.rows) counts.set(piece[at]?.name ?? '', { rows, keptRows: 0 })
  }
  return counts
}

/** In a statement of its own, so that it is known whose condition fails; some fail only when they meet a row. */
async function countKept(connection: Connection, table: TableToCount, condition: string): Promise<Count> {
  try {
    const answer = await connection.query(
      `SELECT pg_catalog.count(*)::pg_catalog.float8 AS rows, pg_catalog.count(*) FILTER (WHERE (${condition}))::pg_catalog.float8 AS "keptRows" FROM ONLY ${qualified(table)}`,
    )
    return answer.rows[0]
  } catch (cause) {
    throw conditionError(table, condition, cause)
  }
}

/** What Postgres reported of a query with a condition of PRESERVE_ROWS, as one of our errors. */
export function conditionError({ name }: TableToCount, condition: string, cause: unknown): unknown {
  const isOfTheCondition = /^(22|25|42)/.test(sqlStateOf(cause) ?? '') && sqlStateOf(cause) !== '42501'
  if (!isOfTheCondition) return databaseError(cause)
  return new InvalidConfiguration(
    `PRESERVE_ROWS has the condition "${condition}" for ${name}, which Postgres refuses: ${messageOf(cause)}. It should be a boolean SQL expression over the table's columns, for example role = 'admin'`,
    { cause },
  )
}
