import type { Warning } from '../../backup/manifest.ts'
import type { BackedUpTable } from '../../backup/sections/database.ts'
import type { Connection } from '../../postgres/connection.ts'
import type { Table } from '../catalog/table.ts'
import type { Tables } from '../catalog/tables.ts'
import { brokenChecks } from '../constraints/broken-checks.ts'
import { brokenKeys } from '../constraints/broken-keys.ts'
import { dropDomainConstraints } from '../constraints/domains.ts'
import { differentlyGenerated } from '../constraints/generated-columns.ts'
import { type RowExpression, readRowExpressions } from '../constraints/row-expressions.ts'
import { proveTypes } from '../constraints/types.ts'
import { countScans, readBetween, type Scans, withoutWorkers } from '../restore/table-scans.ts'
import { differencesOf, type FingerprintedTables, refuseDifferences } from '../row-differences.ts'
import { scratchTableOf } from '../scratch/schema.ts'
import type { TablePair } from '../table-pair.ts'
import { findDuplicates } from './duplicates.ts'
import type { Loaded } from './loaded.ts'
import { tryIndexes } from './trial-indexes.ts'

type LoadedTables = FingerprintedTables & {
  runId: string
  live: Tables
  loaded: Loaded
  /** The live tables hold what was backed up, so the application's functions, which may read them, can be asked. */
  isCurrent: boolean
}

/** What a comparison found. */
export type Comparison = {
  /** What a restore will not bring back exactly. */
  warnings: Warning[]
  /**
   * What looks at each row and read tables of the application meanwhile, for people: a restore must give it the same
   * tables. Empty when functions of the application could not be asked.
   */
  reading: string[]
}

/** Proves of the loaded rows that they are those of the backup. @throws RehearsalFailed listing the tables */
export async function compareRows(
  connection: Connection,
  { runId, ...backedUp }: FingerprintedTables & { runId: string },
): Promise<void> {
  refuseDifferences(
    await differencesOf(connection, backedUp, (table) => scratchTableOf(runId, table)),
    'loaded',
  )
}

/**
 * Proves of the loaded rows that the live tables would take them: what a restore meets there (types, indexes, generated
 * columns) is built on them, and taken back. What rows ask of each other is asked of the live ones where not all were loaded.
 * @throws RehearsalFailed naming what would refuse the rows
 * @see docs/decisions.md#every-part-is-loaded-within-some-days
 */
export async function compareLoaded(
  connection: Connection,
  { runId, tables, loaded, fingerprints, live, isCurrent }: LoadedTables,
): Promise<Comparison> {
  const byName = new Map(live.tables.map((table) => [table.name, table]))
  const pairsOf = (some: readonly BackedUpTable[]) =>
    some.flatMap((table) => {
      const now = byName.get(table.name)
      return now === undefined ? [] : [{ table, live: now }]
    })
  const pairs = pairsOf(loaded.tables)
  await connection.query('BEGIN')
  try {
    const warnings = await proveTypes(connection, { runId, pairs, version: fingerprints.version })
    await dropDomainConstraints(connection, liveOf(pairs))
    const expressions = isCurrent ? await readRowExpressions(connection, liveOf(pairs)) : []
    if (expressions.length > 0) await connection.query(withoutWorkers)
    const before = expressions.length > 0 ? await countScans(connection) : new Map()
    warnings.push(...(await tryIndexes(connection, { runId, pairs, isCurrent })))
    if (!isCurrent) return { warnings, reading: [] }
    warnings.push(...(await differentlyGenerated(connection, { runId, pairs })))
    const reading = expressions.length > 0 ? await readingNow(connection, { before, expressions }) : []
    const { whole, known } = loaded
    const partly = pairs.filter(({ table: { name } }) => !whole.has(name) && !known.has(name))
    await findDuplicates(connection, { runId, pairs: partly })
    warnings.push(...(await brokenChecks(connection, { runId, pairs })))
    const loadedOnes = new Set(loaded.tables.map(({ name }) => name))
    const asked = { runId, pairs: pairsOf(tables), loaded: loadedOnes, whole, known }
    warnings.push(...(await brokenKeys(connection, asked)))
    return { warnings, reading }
  } finally {
    await connection.query('ROLLBACK')
  }
}

function liveOf(pairs: readonly TablePair[]): Table[] {
  return pairs.map(({ live }) => live)
}

/** All of them when any did, for Postgres does not say which; partition keys were not asked here, so they count as if they had. */
async function readingNow(
  connection: Connection,
  { before, expressions }: { before: Scans; expressions: readonly RowExpression[] },
): Promise<string[]> {
  const read = readBetween(before, await countScans(connection))
  const found = await connection.query(
    `SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE c.oid = ANY($1::oid[]) AND NOT starts_with(n.nspname, 'taskmaster_')) AS read`,
    [read],
  )
  return expressions
    .filter(({ kind }) => kind === 'partition key' || found.rows[0]?.read === true)
    .map(({ name }) => name)
}
