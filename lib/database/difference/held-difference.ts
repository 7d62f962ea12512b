import type { BackedUpTable, DatabaseSection } from '../../backup/sections/database.ts'
import { fingerprintFormatOf } from '../../backup/sections/fingerprint.ts'
import type { Clients } from '../../clients.ts'
import type { Connection } from '../../postgres/connection.ts'
import { connectionsFor, shareOut } from '../../postgres/share-out.ts'
import { withConnection } from '../../postgres/with-connection.ts'
import { readCatalog } from '../catalog/catalog.ts'
import { readPrimaryKeys } from '../catalog/primary-keys.ts'
import type { DatabaseDifference, TableDifference } from '../schema/difference.ts'
import { beginWorkingSnapshot, withSnapshot } from '../snapshot.ts'
import { countRows } from './count-rows.ts'
import type { WantedRows } from './differing-rows.ts'
import { findHeldGroups, type HeldPair } from './held-groups.ts'
import { isSame } from './matching.ts'
import { obstacleBetween, obstacleOf } from './obstacle.ts'
import { diffSequences } from './sequences.ts'

type Held = Pick<DatabaseSection, 'tables' | 'sequences' | 'seed'>

/** Connections that look at tables side by side, one for so many bytes of parts. */
const limits = { connections: 3, bytesEach: 2 * 2 ** 20 }

/**
 * What became of the rows between two backups with one seed, exactly. No live row is read, but the live tables say which columns are
 * the primary key: of a table that is not there any more, or has other columns, no row is told to have changed.
 * @throws NotComparable when one of them does not hold the hashes of its rows; BackupDamaged; DatabaseBusy
 * @see docs/decisions.md#two-backups-are-compared-without-their-parts
 */
export async function diffHeldDatabases(
  clients: Clients,
  { before, after }: { before: Held; after: Held },
  progress: (done: number, total: number) => Promise<void>,
  wanted?: WantedRows,
): Promise<DatabaseDifference> {
  const { equal, unequal, tables } = compareTables(before.tables, after.tables)
  const total = equal + unequal.length
  await progress(equal, total)
  if (unequal.length > 0) await diffRows(unequal)
  const sequences = diffSequences(before.sequences, after.sequences)
  return { equal, tables: tables.sort((one, other) => (one.name < other.name ? -1 : 1)), sequences }

  async function diffRows(pairs: readonly HeldPair[]): Promise<void> {
    const { DATABASE_SCHEMAS } = clients.config
    const format = fingerprintFormatOf(before)
    const catalog = await withConnection(clients, (connection) => readCatalog(connection, DATABASE_SCHEMAS))
    const named = new Map(pairs.map((pair) => [pair.before.name, pair.before]))
    const live = catalog.tables.filter((table) => {
      const held = named.get(table.name)
      return held !== undefined && obstacleOf(held, table) === undefined
    })
    const work = pairs.map((pair) => ({ pair, bytes: bytesOf(pair.before) + bytesOf(pair.after) }))
    const count = connectionsFor(work, limits)
    const use = async (connections: Connection[]) => {
      const [leader] = connections as [Connection]
      const byOid = await readPrimaryKeys(
        leader,
        live.map(({ oid }) => oid),
      )
      const keys = new Map(live.map(({ name, oid }) => [name, byOid.get(oid)]))
      let done = equal
      await shareOut(connections, work, async (connection, { pair }) => {
        const find = () => findHeldGroups(connection, clients.backups, pair)
        const asked = { table: pair.before, find, format, key: keys.get(pair.before.name), wanted }
        tables.push({ ...(await countRows(connection, clients.backups, asked)), now: pair.after.rows })
        await progress(++done, total)
      })
    }
    await withSnapshot(clients, live, count, use, beginWorkingSnapshot)
  }
}

/** What the manifests say: the tables that are the same, those whose rows have to be compared, and what there is to say of the others. */
function compareTables(
  earlier: readonly BackedUpTable[],
  later: readonly BackedUpTable[],
): { equal: number; unequal: HeldPair[]; tables: TableDifference[] } {
  const found = { equal: 0, unequal: [] as HeldPair[], tables: [] as TableDifference[] }
  const others = new Map(later.map((table) => [table.name, table]))
  const uncompared = { extra: 0, missing: 0, changed: null }
  for (const then of earlier) {
    const now = others.get(then.name)
    others.delete(then.name)
    const told = { name: then.name, before: then.rows, now: now?.rows ?? null, ...uncompared }
    const obstacle = now && obstacleBetween(then, now)
    if (now === undefined) found.tables.push({ ...told, missing: then.rows })
    else if (obstacle !== undefined) found.tables.push({ ...told, obstacle })
    else if (isSame(then, now)) found.equal++
    else found.unequal.push({ before: then, after: now })
  }
  for (const { name, rows } of others.values())
    found.tables.push({ name, before: null, now: rows, ...uncompared })
  return found
}

function bytesOf({ parts }: BackedUpTable): number {
  return parts.reduce((sum, { bytes }) => sum + bytes, 0)
}
