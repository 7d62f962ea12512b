import type * as z from 'zod'
import { putOnce } from '../../backup/documents/write-once.ts'
import { backupKeys, workKeys } from '../../backup/layout.ts'
import type { Clients } from '../../clients.ts'
import type { Connection } from '../../postgres/connection.ts'
import { ownSearchPath } from '../../postgres/search-path.ts'
import { exists } from '../../s3/bucket.ts'
import { changesOf, refuseChanges } from '../catalog/changes.ts'
import { readPositions, readSequences, sequencesOf } from '../catalog/sequences.ts'
import { readTables } from '../catalog/tables.ts'
import type { PlannedDatabase } from '../schema/plan.ts'
import { withSnapshot } from '../snapshot.ts'
import { reconcile } from './reconcile.ts'
import { type Reconciled, readBatches } from './results.ts'

/**
 * Makes a backup of several batches, each with a snapshot of its own, one point in time: what differs from one common
 * snapshot is exported again, beside the parts it replaces, and the sequences are those of that moment. It comes before the
 * rehearsal, which would else load rows of several moments, and prove parts that are not the ones that are sealed.
 * @throws BackupIsStale when that is more than LATE_MAX_BYTES, or a table is no longer the one that was counted
 * @see docs/decisions.md#several-batches-are-made-one-moment
 */
export async function reconcileBatches(
  clients: Clients,
  { run, planned, backupId }: PlannedDatabase & { backupId: string },
): Promise<void> {
  const { backups: bucket, config } = clients
  const done = workKeys(run).reconciled
  if (await exists(bucket, done)) return // by a try whose answer was lost
  const { tables } = await readBatches(bucket, { run, planned })
  const { tablePart } = backupKeys(config.BACKUP_PREFIX, backupId)
  const known = planned.tables.map(({ table }) => table)
  const result = await withSnapshot(clients, tables, 1, async ([leader]) => {
    const connection = leader as Connection
    refuseChanges(changesOf(await readTables(connection, config.DATABASE_SCHEMAS), tables))
    const sequences = sequencesOf(await readSequences(connection, config.DATABASE_SCHEMAS), known)
    await connection.query(ownSearchPath)
    const late = await reconcile(connection, {
      bucket: bucket,
      tables,
      fingerprints: planned.fingerprints,
      maxBytes: config.LATE_MAX_BYTES,
      keys: tablePart,
    })
    return {
      tables: late,
      // Read last, for they are outside transactions: none may stand before a row of the snapshot.
      sequences: await readPositions(connection, sequences),
    } satisfies z.input<typeof Reconciled>
  })
  await putOnce(bucket, done, result)
}
