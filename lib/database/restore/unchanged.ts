import type { BackedUpTable } from '../../backup/sections/database.ts'
import type { FingerprintFormat } from '../../backup/sections/fingerprint.ts'
import { BackupIsStale } from '../../errors.ts'
import type { Connection } from '../../postgres/connection.ts'
import { underOwnSearchPath } from '../../postgres/search-path.ts'
import type { Table } from '../catalog/table.ts'
import { isWritten, readWritten, type Written } from '../catalog/written.ts'
import { readRowExpressions } from '../constraints/row-expressions.ts'
import { isSame, sumOf } from '../difference/matching.ts'
import { readFingerprints } from '../fingerprints.ts'
import { differencesOf, type FingerprintedTables, refuseDifferences } from '../row-differences.ts'
import type { TablePair } from '../table-pair.ts'
import { readLooked, stillLooked } from './looked.ts'
import type { Spared } from './spared.ts'

/**
 * The tables of which a restore may leave rows as they are where they are the backup's. One that got columns since is none, for
 * each row is to have their defaults, nor one whose indexes, generated columns or partition key ask functions.
 */
export async function mayBeSpared(
  connection: Connection,
  { tables, fingerprints }: FingerprintedTables,
  live: readonly Table[],
): Promise<TablePair[]> {
  if (!isSecret(fingerprints)) return []
  const now = new Map(live.map((table) => [table.name, table]))
  const asking = new Set((await readRowExpressions(connection, live)).map(({ oid }) => oid))
  return tables.flatMap((table) => {
    const one = now.get(table.name)
    const isSame = one !== undefined && !asking.has(one.oid) && columnsOf(one) === columnsOf(table)
    return isSame ? [{ table, live: one }] : []
  })
}

/**
 * Those that hold the very rows of the backup, so that a restore need not touch them.
 * @param held what the rows of now are as a backup of this moment has them; null: they are read
 * @see docs/decisions.md#a-table-that-holds-the-backups-rows-is-not-touched
 */
export async function findUnchanged(
  connection: Connection,
  pairs: readonly TablePair[],
  { fingerprints, held }: { fingerprints: FingerprintFormat; held: FingerprintedTables | null },
): Promise<Set<string>> {
  const tables = pairs.map(({ table }) => table)
  const found =
    held === null ? await readNow(connection, { tables, fingerprints }) : heldOf(tables, held, fingerprints)
  const isSame = ({ rows, fingerprint }: BackedUpTable, at: number) =>
    found[at]?.rows === rows && found[at].fingerprint === fingerprint
  return new Set(tables.filter(isSame).map(({ name }) => name))
}

type Held = { rows: number; fingerprint: string }

/** Whoever knows what hashes begin with can make other rows that have the same sum. */
function isSecret(format: FingerprintFormat): format is FingerprintFormat & { version: 2 } {
  return format.version === 2
}

function columnsOf({ columns }: Pick<BackedUpTable, 'columns'>): string {
  return JSON.stringify(columns.map(({ name, type, asText }) => [name, type, asText]))
}

function readNow(connection: Connection, { tables, fingerprints }: FingerprintedTables): Promise<Held[]> {
  const asked = tables.map((of) => ({ of, expected: of.rows }))
  return underOwnSearchPath(connection, () => readFingerprints(connection, asked, fingerprints))
}

function heldOf(
  tables: readonly BackedUpTable[],
  held: FingerprintedTables,
  fingerprints: FingerprintFormat,
): (Held | undefined)[] {
  if (!isSecret(fingerprints) || !isSecret(held.fingerprints)) return []
  if (held.fingerprints.seed !== fingerprints.seed) return []
  const byName = new Map(held.tables.map((table) => [table.name, table]))
  return tables.map((table) => {
    const one = byName.get(table.name)
    return one !== undefined && columnsOf(one) === columnsOf(table) ? one : undefined
  })
}

/**
 * The tables that a restore leaves alone: looked at again under its locks, for they may have changed since.
 * @param spared as it was noted when it was loaded
 * @param held what the safety backup holds of the rows, which was just proved; null: there is none, and only tables that
 *   were not loaded are read, unless none of their rows was written since they were
 * @throws BackupIsStale naming tables that have changed since it was looked: their rows were not loaded
 */
export async function stillUnchanged(
  connection: Connection,
  {
    runId,
    backedUp,
    live,
    held,
    spared,
  }: {
    runId: string
    backedUp: FingerprintedTables
    live: readonly Table[]
    held: FingerprintedTables | null
    spared: ReadonlyMap<string, Spared>
  },
): Promise<Set<string>> {
  const noted = new Set([...spared].filter(([, how]) => how === 'unchanged').map(([name]) => name))
  const tables = backedUp.tables.filter(({ name }) => held !== null || noted.has(name))
  const pairs = await mayBeSpared(connection, { ...backedUp, tables }, live)
  const known = new Set<string>()
  const looked = held === null && pairs.length > 0 ? await readLooked(connection, runId) : new Set()
  for (const pair of pairs) {
    if (!looked.has(pair.table.name)) continue
    const ranges = await stillLooked(connection, { runId, pair })
    if (ranges !== null && isSame(sumOf(ranges), pair.table)) known.add(pair.table.name)
  }
  const others = pairs.filter(({ table }) => !known.has(table.name))
  const unchanged = new Set([...known, ...(await findUnchanged(connection, others, { ...backedUp, held }))])
  const changed = [...noted].filter((name) => !unchanged.has(name))
  if (changed.length === 0) return unchanged
  throw new BackupIsStale(
    `${changed.join(', ')} held what the backup does, so that nothing of it was loaded, and ${changed.length === 1 ? 'has' : 'have'} changed since. Nothing was changed by the restore; it begins again`,
  )
}

/**
 * Code of the application that is called while other tables are filled, as by a check or an event trigger, may write into those
 * that the restore leaves alone: these are compared once more.
 * @param before what was written until they were found to hold the backup's rows
 * @throws RehearsalFailed listing those that hold others now
 */
export async function refuseWritten(
  connection: Connection,
  pairs: readonly TablePair[],
  { before, fingerprints }: { before: Written; fingerprints: FingerprintFormat },
): Promise<void> {
  const now = await readWritten(
    connection,
    pairs.map(({ live }) => live),
  )
  const tables = pairs.filter(({ live }) => isWritten(live, before, now)).map(({ table }) => table)
  refuseDifferences(
    await underOwnSearchPath(connection, () =>
      differencesOf(connection, { tables, fingerprints }, (of) => of),
    ),
    'live',
  )
}
