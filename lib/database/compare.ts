import type { BackedUpTable } from '../backup/manifest.ts'
import type { Connection } from '../clients.ts'
import { RehearsalFailed } from '../errors.ts'
import { fingerprintOf, queryRows, type Rows, rowsOf } from './rows.ts'

/** How many differences a message lists. */
const listed = 20

/**
 * Compares count and fingerprint of every table, as `copyOf` gives it, with the backup's.
 * @throws RehearsalFailed listing what differs
 */
export async function compareTables(
  connection: Connection,
  tables: readonly BackedUpTable[],
  copyOf: (table: BackedUpTable) => Rows,
): Promise<void> {
  const differences: string[] = []
  for (const table of tables) {
    const copy = copyOf(table)
    const [found] = await queryRows(connection, [copy], fingerprintOf(rowsOf(copy)))
    const { rows, fingerprint } = found
    if (Number(rows) !== table.rows)
      differences.push(`${table.name} has ${rows} rows instead of ${table.rows}`)
    else if (fingerprint !== table.fingerprint) {
      differences.push(`${table.name} has its ${rows} rows, but at least one is not what was backed up`)
    }
  }
  if (differences.length === 0) return
  const more = differences.length > listed ? [`and ${differences.length - listed} more`] : []
  throw new RehearsalFailed(
    `The backup was loaded, and what came out is not what went in: ${[...differences.slice(0, listed), ...more].join('; ')}. The live tables were not touched; make a new backup, and report it if it happens again`,
  )
}
