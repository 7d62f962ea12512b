import type { Clients, Connection } from '../clients.ts'
import { InvalidConfiguration, messageOf } from '../errors.ts'
import { qualified } from './identifiers.ts'
import { databaseError, withConnection } from './snapshot.ts'

type Counted = { name: string; schema: string; table: string; keepRows: string | null }

/** Exact rows per table, and how many of them match the table's condition to keep rows; all of one snapshot. */
export async function countTables(
  clients: Clients,
  tables: readonly Counted[],
): Promise<Map<string, { rows: number; keptRows: number }>> {
  return withConnection(clients, async (connection) => {
    await connection.query(`SET lock_timeout = ${clients.config.LOCK_TIMEOUT_MS}`)
    await connection.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
    for (const table of tables) await checkCondition(connection, table)
    const counts = new Map<string, { rows: number; keptRows: number }>()
    for (let start = 0; start < tables.length; start += 50) {
      const piece = tables.slice(start, start + 50)
      const selects = piece.map((table, index) => {
        const kept = table.keepRows === null ? '0' : `count(*) FILTER (WHERE (${table.keepRows}))`
        return `SELECT ${index} AS at, count(*)::float8 AS rows, ${kept}::float8 AS kept FROM ONLY ${qualified(table)}`
      })
      const answer = await connection.query(selects.join('\nUNION ALL ')).catch((error: unknown) => {
        throw databaseError(error)
      })
      for (const row of answer.rows) {
        const table = piece[row.at]
        if (table !== undefined) counts.set(table.name, { rows: row.rows, keptRows: row.kept })
      }
    }
    return counts
  })
}

/** @throws InvalidConfiguration when the condition of PRESERVE_ROWS is not one that Postgres understands for the table */
async function checkCondition(connection: Connection, table: Counted): Promise<void> {
  if (table.keepRows === null) return
  try {
    await connection.query(`EXPLAIN SELECT FROM ONLY ${qualified(table)} WHERE (${table.keepRows})`)
  } catch (cause) {
    throw new InvalidConfiguration(
      `PRESERVE_ROWS has the condition "${table.keepRows}" for ${table.name}, which Postgres refuses: ${messageOf(cause)}. It should be a boolean SQL expression over the table's columns, for example role = 'admin'`,
      { cause },
    )
  }
}
