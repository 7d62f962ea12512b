import { DeleteObjectCommand } from '@aws-sdk/client-s3'
import { BackupBeingPruned, NotFound } from '../errors.ts'
import { exists } from './exists.ts'
import { checkBackupId } from './folders.ts'
import { backupKeys } from './layout.ts'
import { isSealed } from './read.ts'
import { isPreconditionFailure, putJson, type Storage, storageError } from './storage.ts'
import { tombstoneKey } from './tombstone.ts'

type Keys = ReturnType<typeof backupKeys>

/** A backup that has this object is never pruned, whatever the object holds. */
export const pinKey = ({ root }: Keys) => `${root}pinned.json`

/**
 * Keeps a backup from being pruned. Repeating it keeps the first pin.
 * @throws NotFound when there is no such sealed backup; BackupBeingPruned when it may be too late
 */
export async function pinBackup(
  storage: Storage,
  prefix: string,
  { backupId, by, at }: { backupId: string; by: string | null; at: Date },
): Promise<void> {
  checkBackupId(backupId)
  const keys = backupKeys(prefix, backupId)
  if (!(await isSealed(storage, prefix, backupId))) {
    throw new NotFound(
      `There is no sealed backup ${backupId} below s3://${storage.bucket}/${prefix} to pin. List the backups to see their ids`,
    )
  }
  const pin = { version: 1, backupId, pinnedAt: at.toISOString(), pinnedBy: by }
  try {
    await putJson(storage, pinKey(keys), pin, { once: true })
  } catch (error) {
    if (!isPreconditionFailure(error)) throw error // else it is pinned already
  }
  // A prune writes its tombstone and then looks for a pin; we do it the other way round, so one of us sees the other.
  if (await exists(storage, tombstoneKey(keys))) {
    throw new BackupBeingPruned(
      `A prune has begun to delete the backup ${backupId}. The pin is written; prune again, which keeps the backup if it is still there, and then look for it in the list`,
    )
  }
}

/** Lets a backup be pruned again; harmless when it is not pinned. */
export async function unpinBackup(storage: Storage, prefix: string, backupId: string): Promise<void> {
  checkBackupId(backupId)
  const key = pinKey(backupKeys(prefix, backupId))
  try {
    await storage.s3.send(new DeleteObjectCommand({ Bucket: storage.bucket, Key: key }))
  } catch (cause) {
    throw storageError(storage, 'delete', key, cause)
  }
}

export async function isPinned(storage: Storage, prefix: string, backupId: string): Promise<boolean> {
  return exists(storage, pinKey(backupKeys(prefix, backupId)))
}
