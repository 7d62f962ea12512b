import type { BackedUpTable, Warning } from '../backup/manifest.ts'
import type { Connection } from '../clients.ts'
import { brokenChecks, brokenKeys } from './broken-rows.ts'
import type { Tables } from './catalog.ts'
import { differencesOf, refuseDifferences } from './compare.ts'
import { putDomainsAside } from './domains.ts'
import { differentlyGenerated } from './generated.ts'
import { proveTypes } from './held-types.ts'
import { scratchTableOf } from './scratch.ts'
import { tryIndexes } from './trial-indexes.ts'

type Loaded = {
  runId: string
  tables: readonly BackedUpTable[]
  live: Tables
  /** The live tables hold what was backed up, so the application's functions, which may read them, can be asked. */
  isCurrent: boolean
}

/**
 * Proves of the loaded rows that they are those of the backup, and that the live tables would take them: what a restore
 * meets there (types, indexes, generated columns) is built on them, and taken back.
 * @returns what a restore will not bring back exactly
 * @throws RehearsalFailed listing the tables, or naming what would refuse the rows
 */
export async function compareLoaded(
  connection: Connection,
  { runId, tables, live, isCurrent }: Loaded,
): Promise<Warning[]> {
  refuseDifferences(await differencesOf(connection, tables, (table) => scratchTableOf(runId, table)))
  const byName = new Map(live.tables.map((table) => [table.name, table]))
  const pairs = tables.flatMap((table) => {
    const now = byName.get(table.name)
    return now === undefined ? [] : [{ table, live: now }]
  })
  await connection.query('BEGIN')
  try {
    const warnings = await proveTypes(connection, { runId, pairs })
    await putDomainsAside(
      connection,
      pairs.map((pair) => pair.live),
    )
    warnings.push(...(await tryIndexes(connection, { runId, pairs, isCurrent })))
    if (!isCurrent) return warnings
    warnings.push(...(await differentlyGenerated(connection, { runId, pairs })))
    warnings.push(...(await brokenChecks(connection, { runId, pairs })))
    warnings.push(...(await brokenKeys(connection, { runId, pairs })))
    return warnings
  } finally {
    await connection.query('ROLLBACK')
  }
}
