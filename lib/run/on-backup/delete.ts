import { timeToLook } from '../../backup/documents/in-time.ts'
import { backupKeys } from '../../backup/layout.ts'
import { isSealed } from '../../backup/read.ts'
import { checkDeletable } from '../../backup/retention/check-delete.ts'
import { clearRetired, type Deleted, retireBackup, sizeOfFolder } from '../../backup/retention/delete.ts'
import { whileLedgerStands } from '../../backup/retention/ledger-view.ts'
import { labelled } from '../../backup/retention/retention.ts'
import type { Clients } from '../../clients.ts'
import { BackupKept, NotPermitted, StoreUnavailable } from '../../errors.ts'
import { labelsByBackup, readLabels } from '../../ledger/labels/labels.ts'
import { removeNote } from '../../ledger/labels/notes.ts'
import { fenceRun } from '../../ledger/step.ts'
import type { Connection } from '../../postgres/connection.ts'
import { exists } from '../../s3/bucket.ts'
import type { MaintenancePlan } from '../planning/plan.ts'
import type { SubjectSummary } from '../planning/plan-summary.ts'
import type { MaintenancePlanner, StartCheck, SubjectEnd } from './operation.ts'

/** @throws BackupKept, NotFound, BackupDamaged, BackupTooNew */
export const checkDelete: StartCheck<'delete'> = async (clients, connection, request) => {
  const { backupId } = request
  await checkDeletable(clients, connection, { backupId, hasTime: timeToLook(clients) })
}

/** Counts it as well, for afterwards nothing is left. @throws as checkDelete */
export const planDelete: MaintenancePlanner<'delete'> = async (
  clients,
  connection,
  { run, request: { operation, backupId } },
) => {
  const { backups, config } = clients
  const { seen } = await checkDeletable(clients, connection, { backupId, runId: run.runId })
  const folder = { prefix: config.BACKUP_PREFIX, backupId }
  const { objects, bytes } = await sizeOfFolder(backups, folder)
  const plan = { ...run, operation, backupId, seen, reads: 0, batches: 0 }
  return { plan, subject: { backupId, rehearse: false, objects, bytes }, warnings: [] }
}

/**
 * State "Delete": deletes the backup that Count found to be deletable, in the order of a prune, so that what dies half-way
 * leaves no damaged backup, but none. Repeating it goes on where it ended; one that is gone is what was wanted.
 * @param about `signal` ends it before the next deletion
 * @throws BackupKept when it was pinned or labelled since, RunLost, DatabaseBusy; StoreUnavailable, NotPermitted naming an object
 * @see docs/decisions.md#verify-and-delete-are-runs
 */
export async function deleteBackup(
  clients: Clients,
  { runId, backupId }: MaintenancePlan,
  { signal }: { signal?: AbortSignal } = {},
): Promise<void> {
  const { backups: bucket, config } = clients
  const folder = { prefix: config.BACKUP_PREFIX, backupId }
  if (await isSealed(bucket, folder.prefix, backupId)) {
    const reasons = [`run ${runId} was told to delete it`]
    const retired = await whileLedgerStands(clients, async (connection, held) => {
      signal?.throwIfAborted() // the lock may have come late
      await fenceRun(connection, runId)
      await refuseLabelled(connection, backupId)
      const gone = await retireBackup(bucket, folder, { reasons, at: clients.now(), held })
      if (gone !== 'pinned') await removeNote(connection, backupId)
      return gone
    })
    if (retired === 'pinned') {
      throw new BackupKept(
        `The backup ${backupId} is not deleted, because it was pinned since the run began. Unpin it if it is to go, and start again`,
      )
    }
    refuseFailures(bucket.name, retired)
  }
  // Without its mark the folder is gone, or not ours to clear: see backup/retention/tombstone.ts.
  if (!(await exists(bucket, backupKeys(folder.prefix, backupId).tombstone))) return
  refuseFailures(bucket.name, await clearRetired(bucket, folder, { signal }))
}

/** @throws BackupKept */
async function refuseLabelled(connection: Connection, backupId: string): Promise<void> {
  const labels = labelsByBackup(await readLabels(connection)).get(backupId)
  if (labels === undefined) return
  throw new BackupKept(
    `The backup ${backupId} is not deleted, because it was ${labels.map(labelled).join(' and ')} since the run began. Take its labels away if it is to go, and start again`,
  )
}

function refuseFailures(bucket: string, { failures, failed }: Deleted): void {
  const [first] = failed
  if (first === undefined) return
  const message = `S3 did not delete ${failures} objects of the backup, for example s3://${bucket}/${first.key} (${first.code})`
  if (first.code !== 'AccessDenied') throw new StoreUnavailable(`${message}. Delete the backup again`)
  throw new NotPermitted(`${message}. Grant it to the function's role, or wait until Object Lock lets it go`)
}

export function endOfDelete(
  { objects, bytes }: SubjectSummary,
  { isSealed, hasTombstone }: { isSealed: boolean; hasTombstone: boolean },
): SubjectEnd {
  if (isSealed) return { state: 'kept', objects: 0, bytes: 0 }
  return hasTombstone
    ? { state: 'partly_deleted', objects: 0, bytes: 0 }
    : { state: 'deleted', objects, bytes }
}
