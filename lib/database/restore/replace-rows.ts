import type { Manifest, Warning } from '../../backup/manifest.ts'
import type { BackedUpTable } from '../../backup/sections/database.ts'
import type { FingerprintFormat } from '../../backup/sections/fingerprint.ts'
import type { Connection } from '../../postgres/connection.ts'
import { qualified } from '../../postgres/identifiers.ts'
import { underOwnSearchPath } from '../../postgres/search-path.ts'
import { placeSequences } from '../catalog/sequences.ts'
import { addConstraints, dropConstraints } from '../constraints/constraints.ts'
import type { Staying } from '../constraints/crossing.ts'
import { differentlyStored } from '../constraints/generated-columns.ts'
import type { AlteredTable } from '../constraints/read-constraints.ts'
import { readFingerprints } from '../fingerprints.ts'
import { differencesOf, refuseDifferences } from '../row-differences.ts'
import type { Rows } from '../rows.ts'
import { scratchTableOf } from '../scratch/schema.ts'
import type { TablePair } from '../table-pair.ts'
import { disableTriggers } from '../triggers.ts'
import { type Differing, exchangeRows, provedBySums } from './differing.ts'
import { fillTables } from './fill.ts'
import { dropPlainIndexes, makePlainIndexes } from './plain-indexes.ts'

/**
 * Puts the loaded rows in the place of those of the live tables, in a transaction that has locked these.
 * @param unchanged tables of the backup that hold its rows already, and stay as they are
 * @param differing in which rows tables differ that are not emptied, by their names
 * @param staying what of the backup is not put back, where foreign keys between the two have to hold
 * @param emptied called when all are empty, under the role's own search path
 * @returns what did not come back as it was
 */
export async function replaceRows(
  connection: Connection,
  {
    runId,
    sequences,
    pairs,
    unchanged = [],
    differing = new Map(),
    staying = null,
    emptied = async () => {},
  }: {
    runId: string
    sequences: NonNullable<Manifest['database']>['sequences']
    pairs: readonly TablePair[]
    unchanged?: readonly AlteredTable[]
    differing?: ReadonlyMap<string, Differing>
    staying?: Staying | null
    emptied?: () => Promise<void>
  },
): Promise<Warning[]> {
  const tables = pairs.map(({ live }) => live)
  const enableTriggers = await disableTriggers(connection, {
    going: tables.map((table) => ({ oid: table.oid, sql: qualified(table) })),
    reached: [],
  })
  const filled = pairs.filter(({ table }) => !differing.has(table.name))
  const indexes = await dropPlainIndexes(connection, filled)
  const dropped = await dropConstraints(connection, tables, unchanged, staying)
  await underOwnSearchPath(connection, async () => {
    await connection.query('SET CONSTRAINTS ALL IMMEDIATE') // a deferred unique key would leave events that ALTER refuses
    if (filled.length > 0)
      await connection.query(`TRUNCATE ${filled.map(({ live }) => `ONLY ${qualified(live)}`).join(', ')}`)
    for (const pair of pairs) {
      const groups = differing.get(pair.table.name)
      if (groups === undefined) continue
      await exchangeRows(connection, { runId, pair, groups })
    }
    await emptied()
    await fillTables(connection, { runId, pairs })
  })
  await makePlainIndexes(connection, { pairs: filled, dropped: indexes })
  const warnings = await addConstraints(connection, dropped)
  if (enableTriggers.length > 0) await connection.query(enableTriggers.join(';\n'))
  await placeSequences(connection, sequences)
  return warnings
}

/**
 * Compares what the live tables hold now with the backup. Generated columns are made anew by today's functions: where only
 * they differ, it is said.
 * @throws RehearsalFailed listing the tables
 */
export async function compareLive(
  connection: Connection,
  {
    runId,
    pairs,
    fingerprints,
    differing = new Map(),
  }: {
    runId: string
    pairs: readonly TablePair[]
    fingerprints: FingerprintFormat
    differing?: ReadonlyMap<string, Differing>
  },
): Promise<Warning[]> {
  const find = (tables: readonly BackedUpTable[], copyOf: (table: BackedUpTable) => Rows) =>
    underOwnSearchPath(connection, () => differencesOf(connection, { tables, fingerprints }, copyOf))
  const proved = await underOwnSearchPath(connection, () => provedBySums(connection, pairs, differing))
  const tables = pairs.flatMap(({ table }) => (proved.has(table.name) ? [] : [table]))
  const found = await find(tables, (table) => table)
  const generated = found.filter(({ sameCount, table }) => sameCount && isPartlyGenerated(table))
  refuseDifferences(
    found.filter((one) => !generated.includes(one)),
    'live',
  )
  // What the other columns are compared with is what was loaded, of which nobody else may have asked whether it is the backup's.
  const loaded = generated.map(({ table }) => table)
  refuseDifferences(await find(loaded, (table) => scratchTableOf(runId, table)), 'loaded')
  const names = new Set(loaded.map(({ name }) => name))
  const others: BackedUpTable[] = []
  for (const table of tables.filter(({ name }) => names.has(name))) {
    const given = { ...table, columns: table.columns.filter((column) => column.generated === '') }
    const asked = { of: scratchTableOf(runId, given), expected: table.rows }
    const [held] = await readFingerprints(connection, [asked], fingerprints)
    others.push({ ...given, ...held })
  }
  refuseDifferences(await find(others, (table) => table), 'live')
  const made = pairs.filter(({ table }) => names.has(table.name))
  return underOwnSearchPath(connection, () => differentlyStored(connection, { runId, pairs: made }))
}

function isPartlyGenerated({ columns }: BackedUpTable): boolean {
  return columns.some(({ generated }) => generated !== '')
}
