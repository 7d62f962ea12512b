import { DeleteObjectCommand } from '@aws-sdk/client-s3'
import { type Storage, storageError } from '../../s3/bucket.ts'
import { putJson } from '../documents/write.ts'
import type { BackupKeys } from '../layout.ts'

export async function putTombstone(
  storage: Storage,
  keys: BackupKeys,
  tombstone: { backupId: string; reasons: readonly string[]; at: Date },
): Promise<void> {
  const { at, ...about } = tombstone
  await putJson(storage, keys.tombstone, { version: 1, ...about, startedAt: at.toISOString() })
}

export async function removeTombstone(storage: Storage, keys: BackupKeys): Promise<void> {
  const key = keys.tombstone
  try {
    await storage.s3.send(new DeleteObjectCommand({ Bucket: storage.bucket, Key: key }))
  } catch (cause) {
    throw storageError(storage, 'delete', key, cause)
  }
}
