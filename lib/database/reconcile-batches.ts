import { backupKeys } from '../backup/layout.ts'
import type { BackedUpTable } from '../backup/manifest.ts'
import type { Clients, Connection } from '../clients.ts'
import { readTables } from './catalog.ts'
import { mergeLate, reconcile } from './reconcile.ts'
import { ownSearchPath } from './search-path.ts'
import { withSnapshot } from './snapshot.ts'
import { changesOf, refuseChanges } from './unchanged.ts'

/**
 * Makes a backup of several batches, each with a snapshot of its own, one point in time: what differs from one common
 * snapshot is exported again, beside the parts it replaces.
 * @throws BackupIsStale when that is more than LATE_MAX_BYTES, or a table is no longer the one that was counted
 */
export async function reconcileBatches(
  clients: Clients,
  tables: BackedUpTable[],
  backupId: string,
): Promise<BackedUpTable[]> {
  const { tablePart } = backupKeys(clients.config.BACKUP_PREFIX, backupId)
  const late = await withSnapshot(clients, tables, 1, async ([leader]) => {
    const connection = leader as Connection
    refuseChanges(changesOf(await readTables(connection, clients.config.DATABASE_SCHEMAS), tables))
    await connection.query(ownSearchPath)
    return reconcile(connection, {
      storage: clients.backups,
      tables,
      maxBytes: clients.config.LATE_MAX_BYTES,
      keys: tablePart,
    })
  })
  return mergeLate(tables, late)
}
