import { BackupBeingPruned, NotFound } from '../../errors.ts'
import { type Bucket, exists } from '../../s3/bucket.ts'
import { checkBackupId } from '../backup-id.ts'
import { noteBounds, parseJson, TooMuch } from '../documents/json.ts'
import { readText } from '../documents/read.ts'
import { putJson } from '../documents/write.ts'
import { type BackupKeys, backupKeys } from '../layout.ts'
import { isSealed } from '../read.ts'

/** Who pins or unpins which backup. */
type Pinning = { backupId: string; by: string | null; at: Date }

/**
 * Keeps a backup from being deleted. Repeating it keeps the first pin.
 * @throws NotFound when there is no such sealed backup; BackupBeingPruned when it may be too late
 */
export async function pinBackup(
  bucket: Bucket,
  prefix: string,
  { backupId, by, at }: Pinning,
): Promise<void> {
  const keys = await keysOfSealed(bucket, prefix, backupId)
  if (!(await isPinned(bucket, prefix, backupId))) {
    const pin = { version: 1, backupId, pinned: true, pinnedAt: at.toISOString(), pinnedBy: by }
    await putJson(bucket, keys.pin, pin)
  }
  // A prune writes its tombstone and then looks for a pin; we do it the other way round, so one of us sees the other.
  if (await exists(bucket, keys.tombstone)) {
    throw new BackupBeingPruned(
      `A prune has begun to delete the backup ${backupId}. The pin is written; prune again, which keeps the backup if it is still there, and then look for it in the list`,
    )
  }
}

/**
 * Lets a backup be deleted again; harmless when it is not pinned. @throws NotFound when there is no such sealed backup.
 * @see docs/decisions.md#unpinning-overwrites-it-does-not-delete
 */
export async function unpinBackup(
  bucket: Bucket,
  prefix: string,
  { backupId, by, at }: Pinning,
): Promise<void> {
  const keys = await keysOfSealed(bucket, prefix, backupId)
  if (!(await isPinned(bucket, prefix, backupId))) return
  const unpin = { version: 1, backupId, pinned: false, unpinnedAt: at.toISOString(), unpinnedBy: by }
  await putJson(bucket, keys.pin, unpin)
}

/** @throws StoreUnavailable, NotPermitted when S3 does not say; what it says and is not understood is a pin */
export async function isPinned(bucket: Bucket, prefix: string, backupId: string): Promise<boolean> {
  const key = backupKeys(prefix, backupId).pin
  try {
    const { text } = await readText(bucket, key, noteBounds)
    return !saysUnpinned(text)
  } catch (cause) {
    if (cause instanceof NotFound) return false
    if (cause instanceof TooMuch) return true
    throw cause
  }
}

function saysUnpinned(text: string): boolean {
  try {
    const said = parseJson(text, noteBounds)
    return typeof said === 'object' && said !== null && 'pinned' in said && said.pinned === false
  } catch {
    return false // not JSON: somebody wanted something with it, and keeping the backup is what can be undone
  }
}

async function keysOfSealed(bucket: Bucket, prefix: string, backupId: string): Promise<BackupKeys> {
  checkBackupId(backupId)
  if (await isSealed(bucket, prefix, backupId)) return backupKeys(prefix, backupId)
  throw new NotFound(
    `There is no sealed backup ${backupId} below s3://${bucket.name}/${prefix}. List the backups to see their ids`,
  )
}
