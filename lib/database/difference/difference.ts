import type { BackedUpTable, DatabaseSection } from '../../backup/sections/database.ts'
import { type FingerprintFormat, fingerprintFormatOf } from '../../backup/sections/fingerprint.ts'
import type { Clients } from '../../clients.ts'
import type { Connection } from '../../postgres/connection.ts'
import { qualified } from '../../postgres/identifiers.ts'
import { ownSearchPath } from '../../postgres/search-path.ts'
import { connectionsFor, shareOut } from '../../postgres/share-out.ts'
import { withConnection } from '../../postgres/with-connection.ts'
import { type Catalog, readCatalog } from '../catalog/catalog.ts'
import { tablesNamed } from '../catalog/named.ts'
import { readPrimaryKeys } from '../catalog/primary-keys.ts'
import { readPositions, sequencesOf } from '../catalog/sequences.ts'
import type { Table } from '../catalog/table.ts'
import { readRanges, type TableRanges } from '../ranges.ts'
import type { BrokenKey, DatabaseDifference, TableDifference } from '../schema/difference.ts'
import { beginWorkingSnapshot, withSnapshot } from '../snapshot.ts'
import type { TablePair } from '../table-pair.ts'
import { countRows } from './count-rows.ts'
import type { WantedRows } from './differing-rows.ts'
import { findGroups } from './groups.ts'
import { type Crossing, countBroken } from './keys/broken.ts'
import { isSame, sumOf } from './matching.ts'
import { obstacleOf } from './obstacle.ts'
import { diffSequences } from './sequences.ts'

/** Connections that look at tables side by side, one for so many bytes of them. */
const limits = { connections: 3, bytesEach: 8 * 2 ** 20 }
/** Pages of tables of which the ranges are in memory at once; a larger table comes alone. */
const pagesTogether = 2 ** 20

type Compared = { pair: TablePair; ranges: TableRanges }

type Held = Pick<DatabaseSection, 'tables' | 'sequences' | 'seed'> & {
  /** Tables and sequences of which nothing is told: the restore that it is made for leaves them alone. */
  untold?: readonly string[]
  /** Of a restore that foreign keys to what stays would end: those of which it is counted how many rows would break them. */
  keysToCount?: (catalog: Catalog, held: readonly BackedUpTable[], pairs: readonly TablePair[]) => Crossing[]
}

/**
 * What became of the rows since a backup, exactly: each row that differs is counted, of equal ones each as often as it is
 * there. All tables are seen at one moment; nothing is locked against writers, and nothing of it stays.
 * @throws NotComparable when the backup does not hold the hashes of its rows; BackupDamaged; DatabaseBusy
 * @see docs/decisions.md#a-difference-is-made-of-groups-of-rows-with-one-hash
 */
export async function diffDatabase(
  clients: Clients,
  held: Held,
  progress: (done: number, total: number) => Promise<void>,
  wanted?: WantedRows,
): Promise<DatabaseDifference> {
  const { DATABASE_SCHEMAS, EXCLUDE_TABLES } = clients.config
  const format = fingerprintFormatOf(held)
  const catalog = await withConnection(clients, (connection) => readCatalog(connection, DATABASE_SCHEMAS))
  const { pairs, found } = pairsOf(held.tables, catalog)
  const excluded = [...tablesNamed(catalog.tables, EXCLUDE_TABLES)]
  const known = new Set([...[...held.tables, ...excluded].map(({ name }) => name), ...(held.untold ?? [])])
  const later = catalog.tables.filter(({ name, partitioned }) => !partitioned && !known.has(name))
  const live = [...pairs.map((pair) => pair.live), ...later]
  const crossing = held.keysToCount?.(catalog, held.tables, pairs) ?? []
  const ofKeys = new Set(crossing.flatMap(({ from, to }) => [...from.back, ...to.back]))
  const differing: Compared[] = []
  const tables = [...found]
  let equal = 0
  let broken: BrokenKey[] = []
  const sequences = await withSnapshot(
    clients,
    live,
    connectionsFor(live, limits),
    async (connections) => {
      const [leader] = connections as [Connection]
      for (const connection of connections) await connection.query(ownSearchPath)
      const keys = await readPrimaryKeys(
        leader,
        live.map(({ oid }) => oid),
      )
      let done = 0
      for (const some of someTogether(pairs)) {
        const asked = some.map(({ table, live }) => ({ of: { ...table, ...namesOf(live) } }))
        const ranges = await readRanges(connections, asked, format)
        const compared = some.map((pair, at) => ({ pair, ranges: ranges[at] ?? [] }))
        const unequal = compared.filter(({ pair, ranges }) => !isSame(sumOf(ranges), pair.table))
        equal += compared.length - unequal.length
        await shareOut(connections, unequal, async (connection, one) => {
          tables.push(await differenceOf(clients, connection, one, { keys, format, wanted }))
        })
        differing.push(...unequal.filter(({ pair }) => ofKeys.has(pair.table.name)))
        done += some.length
        await progress(done, live.length)
      }
      for (const table of later) tables.push(await countLater(leader, table))
      broken = await countBroken(leader, clients.backups, {
        crossing,
        differing,
        untold: new Set(held.untold),
        format,
      })
      return readSequences(leader, catalog, held)
    },
    beginWorkingSnapshot,
  )
  await progress(live.length, live.length)
  return {
    ...{ equal, tables: tables.sort((one, other) => (one.name < other.name ? -1 : 1)), sequences },
    ...(broken.length > 0 && { broken }),
  }
}

/** The tables that can be compared, and what there is to say of the others. */
function pairsOf(
  tables: readonly BackedUpTable[],
  catalog: Catalog,
): { pairs: TablePair[]; found: TableDifference[] } {
  const liveOnes = new Map(catalog.tables.map((table) => [table.name, table]))
  const pairs: TablePair[] = []
  const found: TableDifference[] = []
  for (const table of tables) {
    const live = liveOnes.get(table.name)
    const obstacle = live === undefined ? undefined : obstacleOf(table, live)
    if (live !== undefined && obstacle === undefined) pairs.push({ table, live })
    else {
      const lost = { name: table.name, before: table.rows, now: null, extra: 0, changed: null }
      found.push({ ...lost, missing: obstacle === undefined ? table.rows : 0, ...(obstacle && { obstacle }) })
    }
  }
  return { pairs, found }
}

async function differenceOf(
  { backups }: Pick<Clients, 'backups'>,
  connection: Connection,
  { pair: { table, live }, ranges }: Compared,
  {
    keys,
    format,
    wanted,
  }: { keys: ReadonlyMap<number, string[]>; format: FingerprintFormat; wanted: WantedRows | undefined },
): Promise<TableDifference> {
  const find = () => findGroups(connection, backups, { table, live: ranges, format })
  const asked = { table, find, format, key: keys.get(live.oid), wanted }
  return { ...(await countRows(connection, backups, asked)), now: sumOf(ranges).rows }
}

/** A restore leaves a table alone that the backup does not know. */
async function countLater(connection: Connection, table: Table): Promise<TableDifference> {
  const answer = await connection.query(
    `SELECT pg_catalog.count(*)::pg_catalog.text AS rows FROM ONLY ${qualified(table)}`,
  )
  const now = Number(answer.rows[0]?.rows)
  return { name: table.name, before: null, now, extra: 0, missing: 0, changed: null }
}

async function readSequences(
  connection: Connection,
  catalog: Catalog,
  held: Held,
): Promise<DatabaseDifference['sequences']> {
  // A restore sets what the backup holds, also where another table uses it by now.
  const theirs = new Set(sequencesOf(catalog.sequences, held.tables))
  const named = new Set(held.sequences.map(({ name }) => name))
  const untold = new Set(held.untold)
  const told = catalog.sequences.filter((one) => one.mayRead && !untold.has(one.name))
  const live = told.filter((one) => theirs.has(one) || named.has(one.name))
  return diffSequences(held.sequences, await readPositions(connection, live))
}

function namesOf({ schema, table }: Table) {
  return { schema, table }
}

function* someTogether(pairs: readonly TablePair[]): Generator<TablePair[]> {
  let some: TablePair[] = []
  let pages = 0
  for (const pair of pairs) {
    if (some.length > 0 && pages + pair.live.pages > pagesTogether) {
      yield some
      some = []
      pages = 0
    }
    some.push(pair)
    pages += pair.live.pages
  }
  if (some.length > 0) yield some
}
