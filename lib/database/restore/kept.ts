import { isDeepStrictEqual } from 'node:util'
import { PreservationConflict } from '../../errors.ts'
import { randomSeed } from '../../ledger/environment.ts'
import type { Connection } from '../../postgres/connection.ts'
import { underOwnSearchPath } from '../../postgres/search-path.ts'
import { writersOf } from '../catalog/event-triggers.ts'
import type { Table } from '../catalog/table.ts'
import { isWritten, readWritten, type Written } from '../catalog/written.ts'
import { fingerprintKept } from '../plan/actions/kept-rows.ts'
import { shortNames } from '../plan/actions/table-actions.ts'

/** What tables that stay hold, or what was written into them so far. */
type Kept = {
  tables: readonly Table[]
  seed: string
  written: Written
  rows: Awaited<ReturnType<typeof fingerprintKept>>
}

/** To be called under the locks, before any code of the application is. Where the server does not tell what is written, all rows are read. */
export async function lookAtKept(connection: Connection, tables: readonly Table[]): Promise<Kept> {
  const whole = tables.filter(({ partitioned }) => !partitioned)
  const [seed, written] = [randomSeed(), await readWritten(connection, whole)]
  return { tables: whole, seed, written, rows: written === null ? await rowsOf(connection, whole, seed) : [] }
}

/**
 * Functions that are called while other tables are filled, and event triggers, may write into any table.
 * @throws PreservationConflict naming those that are to stay and would not be what they were
 */
export async function refuseKeptWritten(connection: Connection, before: Kept): Promise<void> {
  const { tables, seed, written: then, rows } = before
  const now = then && (await readWritten(connection, tables))
  const rowsNow = then === null ? await rowsOf(connection, tables, seed) : []
  const written = tables.filter((table, at) =>
    then === null ? !isDeepStrictEqual(rowsNow[at], rows[at]) : isWritten(table, then, now),
  )
  if (written.length === 0) return
  throw new PreservationConflict(
    `The restore would change ${shortNames(written)}, which is to stay as it is: ${await writersOf(connection)} writes there when other tables are altered or filled. Nothing was changed; keep it from that, or name the table in EXCLUDE_TABLES`,
  )
}

function rowsOf(connection: Connection, tables: readonly Table[], seed: string): Promise<Kept['rows']> {
  const all = tables.map((table) => ({ table, action: 'keep' as const, keepRows: 'true' }))
  return underOwnSearchPath(connection, () => fingerprintKept(connection, all, seed))
}
