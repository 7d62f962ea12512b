import * as z from 'zod'
import { BackupBeingPruned, NotFound } from '../../errors.ts'
import { type Bucket, exists } from '../../s3/bucket.ts'
import { Signature, type SigningKey } from '../../signature.ts'
import { checkBackupId } from '../backup-id.ts'
import { checkSeal, sealed } from '../digest.ts'
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
 * What unpins: signed, for it lets go what a person wanted kept. A pin keeps a backup whoever wrote it.
 * @see docs/decisions.md#what-is-not-signed-takes-the-place-of-nothing-that-is
 */
const Unpin = z.strictObject({
  version: z.literal(2),
  backupId: z.string(),
  pinned: z.literal(false),
  unpinnedAt: z.iso.datetime(),
  unpinnedBy: z.string().nullable(),
  digest: z.string(),
  signature: Signature,
})

/**
 * Lets a backup be deleted again; harmless when it is not pinned. @throws NotFound when there is no such sealed backup.
 * @see docs/decisions.md#unpinning-overwrites-it-does-not-delete
 */
export async function unpinBackup(
  bucket: Bucket & { signing: readonly SigningKey[] },
  prefix: string,
  { backupId, by, at }: Pinning,
): Promise<void> {
  const keys = await keysOfSealed(bucket, prefix, backupId)
  if (!(await isPinned(bucket, prefix, backupId))) return
  const unpin = { version: 2, backupId, pinned: false, unpinnedAt: at.toISOString(), unpinnedBy: by }
  await putJson(bucket, keys.pin, sealed(bucket.signing, unpin))
}

/** @throws StoreUnavailable, NotPermitted when S3 does not say; what it says and is not understood is a pin */
export async function isPinned(bucket: Bucket, prefix: string, backupId: string): Promise<boolean> {
  const key = backupKeys(prefix, backupId).pin
  try {
    const { text } = await readText(bucket, key, noteBounds)
    return !saysUnpinned(bucket, backupId, text)
  } catch (cause) {
    if (cause instanceof NotFound) return false
    if (cause instanceof TooMuch) return true
    throw cause
  }
}

function saysUnpinned({ signing = [] }: Bucket, backupId: string, text: string): boolean {
  try {
    const json = parseJson(text, noteBounds)
    const { data: said } = Unpin.safeParse(json)
    return said?.backupId === backupId && checkSeal(signing, json).authentic === 'signed'
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
