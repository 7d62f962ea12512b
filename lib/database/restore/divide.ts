import type { Connection } from '../../postgres/connection.ts'
import type { Bucket } from '../../s3/bucket.ts'
import type { Table } from '../catalog/table.ts'
import type { FingerprintedTables } from '../row-differences.ts'
import { checkLoaded } from '../scratch/create.ts'
import type { TablePair } from '../table-pair.ts'
import { type Differing, stillDiffering } from './differing.ts'
import { readSpared, type Spared } from './spared.ts'
import { stillUnchanged } from './unchanged.ts'

/** The tables of a backup, each with the live one: `pairs` get rows, `others` hold the backup's already. */
export type Divided = {
  pairs: TablePair[]
  others: TablePair[]
  /** In which rows those of `pairs` differ that are not emptied, by their names. */
  differing: Map<string, Differing>
}

/**
 * What is to be done to which table: looked at again under the locks of the restore, for they may have changed since it was
 * loaded what differs.
 * @param held what the safety backup holds, which was just proved; null: there is none
 * @throws BackupIsStale naming tables that have changed since; StoreUnavailable when what was loaded is gone
 */
export async function divideTables(
  connection: Connection,
  {
    runId,
    bucket,
    backedUp,
    live,
    held,
  }: {
    runId: string
    bucket: Bucket
    backedUp: FingerprintedTables
    live: readonly Table[]
    held: FingerprintedTables | null
  },
): Promise<Divided> {
  const { tables, fingerprints: format } = backedUp
  // Where nothing is to be loaded, nothing made the schema in which it stands.
  const spared = tables.length === 0 ? new Map<string, Spared>() : await readSpared(connection, runId)
  const unchanged = await stillUnchanged(connection, { runId, spared, live, backedUp, held })
  const byName = new Map(live.map((table) => [table.name, table]))
  const divided: Divided = { pairs: [], others: [], differing: new Map() }
  for (const table of tables) {
    const pair = { table, live: byName.get(table.name) as Table }
    ;(unchanged.has(table.name) ? divided.others : divided.pairs).push(pair)
  }
  const filled = []
  for (const pair of divided.pairs) {
    const { table } = pair
    if (spared.get(table.name) === 'differing')
      divided.differing.set(table.name, await stillDiffering(connection, { runId, bucket, pair, format }))
    else filled.push(table)
  }
  await checkLoaded(connection, { runId, tables: filled })
  return divided
}
