import type { Manifest, Warning } from '../../backup/manifest.ts'
import type { BackedUpTable } from '../../backup/sections/database.ts'
import type { FingerprintFormat } from '../../backup/sections/fingerprint.ts'
import type { Connection } from '../../postgres/connection.ts'
import { qualified } from '../../postgres/identifiers.ts'
import { underOwnSearchPath } from '../../postgres/search-path.ts'
import { restartSequences } from '../catalog/sequences.ts'
import { addConstraints, dropConstraints } from '../constraints/constraints.ts'
import { differentlyStored } from '../constraints/generated-columns.ts'
import { readFingerprints } from '../fingerprints.ts'
import { differencesOf, refuseDifferences } from '../row-differences.ts'
import type { Rows } from '../rows.ts'
import { scratchTableOf } from '../scratch/schema.ts'
import type { TablePair } from '../table-pair.ts'
import { disableTriggers } from '../triggers.ts'
import { fillTables } from './fill.ts'

/**
 * Puts the loaded rows in the place of those of the live tables, in a transaction that has locked these.
 * @param emptied called when all are empty, under the role's own search path
 * @returns what did not come back as it was
 */
export async function replaceRows(
  connection: Connection,
  {
    runId,
    sequences: wanted,
    pairs,
    emptied = async () => {},
  }: {
    runId: string
    sequences: NonNullable<Manifest['database']>['sequences']
    pairs: readonly TablePair[]
    emptied?: () => Promise<void>
  },
): Promise<Warning[]> {
  const tables = pairs.map(({ live }) => live)
  const enableTriggers = await disableTriggers(connection, {
    going: tables.map((table) => ({ oid: table.oid, sql: qualified(table) })),
    reached: [],
  })
  const dropped = await dropConstraints(connection, tables)
  await underOwnSearchPath(connection, async () => {
    await connection.query('SET CONSTRAINTS ALL IMMEDIATE') // a deferred unique key would leave events that ALTER refuses
    if (tables.length > 0)
      await connection.query(`TRUNCATE ${tables.map((table) => `ONLY ${qualified(table)}`).join(', ')}`)
    await emptied()
    await fillTables(connection, { runId, pairs })
  })
  const warnings = await addConstraints(connection, dropped)
  if (enableTriggers.length > 0) await connection.query(enableTriggers.join(';\n'))
  const sequences = wanted.map(({ schema, sequence }) => ({ schema, table: sequence }))
  await restartSequences(connection, sequences) // what setval does from here on is undone with the transaction
  for (const { schema, sequence, lastValue, isCalled } of wanted) {
    const relation = qualified({ schema, table: sequence })
    await connection.query('SELECT setval($1::regclass, $2::bigint, $3)', [relation, lastValue, isCalled])
  }
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
  }: { runId: string; pairs: readonly TablePair[]; fingerprints: FingerprintFormat },
): Promise<Warning[]> {
  const find = (tables: readonly BackedUpTable[], copyOf: (table: BackedUpTable) => Rows) =>
    underOwnSearchPath(connection, () => differencesOf(connection, { tables, fingerprints }, copyOf))
  const tables = pairs.map(({ table }) => table)
  const found = await find(tables, (table) => table)
  const generated = found.filter(({ sameCount, table }) => sameCount && isPartlyGenerated(table))
  refuseDifferences(found.filter((one) => !generated.includes(one)))
  const names = new Set(generated.map(({ table }) => table.name))
  const others: BackedUpTable[] = []
  for (const table of tables.filter(({ name }) => names.has(name))) {
    const given = { ...table, columns: table.columns.filter((column) => column.generated === '') }
    const asked = { of: scratchTableOf(runId, given), expected: table.rows }
    const [held] = await readFingerprints(connection, [asked], fingerprints)
    others.push({ ...given, ...held })
  }
  refuseDifferences(await find(others, (table) => table))
  const differing = pairs.filter(({ table }) => names.has(table.name))
  return underOwnSearchPath(connection, () => differentlyStored(connection, { runId, pairs: differing }))
}

function isPartlyGenerated({ columns }: BackedUpTable): boolean {
  return columns.some(({ generated }) => generated !== '')
}
