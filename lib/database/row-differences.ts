import { counted } from '../amounts.ts'
import type { BackedUpTable } from '../backup/sections/database.ts'
import type { FingerprintFormat } from '../backup/sections/fingerprint.ts'
import { RehearsalFailed } from '../errors.ts'
import type { Connection } from '../postgres/connection.ts'
import { readFingerprints } from './fingerprints.ts'
import type { Rows } from './rows.ts'

/** How many differences a message lists. */
const listed = 20

/** Tables of a backup, and how their fingerprints were made. */
export type FingerprintedTables = { tables: readonly BackedUpTable[]; fingerprints: FingerprintFormat }

type RowDifference = {
  table: BackedUpTable
  /** For people. */
  what: string
  /** The rows are as many as they should be. */
  sameCount: boolean
}

/**
 * The tables of which count or fingerprint, as `copyOf` gives them, are not those of the backup.
 * @param fingerprints how those of the backup were made
 */
export async function differencesOf(
  connection: Connection,
  { tables, fingerprints }: FingerprintedTables,
  copyOf: (table: BackedUpTable) => Rows,
): Promise<RowDifference[]> {
  const differences: RowDifference[] = []
  const asked = tables.map((table) => ({ of: copyOf(table), expected: table.rows }))
  const found = await readFingerprints(connection, asked, fingerprints)
  for (const [at, { rows, fingerprint }] of found.entries()) {
    const table = tables[at] as BackedUpTable
    if (rows !== table.rows) {
      const what = `${table.name} has ${counted(rows, 'row')} instead of ${table.rows}`
      differences.push({ table, what, sameCount: false })
    } else if (fingerprint !== table.fingerprint) {
      const what = `${table.name} has its ${counted(rows, 'row')}, but at least one is not what was backed up`
      differences.push({ table, what, sameCount: true })
    }
  }
  return differences
}

const whatToDo = {
  loaded: 'The live tables were not touched; make a new backup, and report it if it happens again',
  live: 'Nothing was changed. Code of the application may have written there meanwhile: a check or an index that calls a function, or an event trigger that hears of what a restore alters. Keep it from that, as for the role of the restore, or leave these tables out (without); where there is no such code, report it',
}

/**
 * @param where the rows were compared: among those that were loaded, which nobody else writes to, or in the live tables
 * @throws RehearsalFailed listing what differs
 */
export function refuseDifferences(
  differences: readonly Pick<RowDifference, 'what'>[],
  where: 'loaded' | 'live',
): void {
  if (differences.length === 0) return
  const more = differences.length > listed ? [`and ${differences.length - listed} more`] : []
  throw new RehearsalFailed(
    `The backup was loaded, and what came out is not what went in: ${[...differences.slice(0, listed).map(({ what }) => what), ...more].join('; ')}. ${whatToDo[where]}`,
  )
}
