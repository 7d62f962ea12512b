import { DeleteObjectCommand } from '@aws-sdk/client-s3'
import { type Bucket, bucketError } from '../../s3/bucket.ts'
import { putJson } from '../documents/write.ts'
import type { BackupKeys } from '../layout.ts'

export async function putTombstone(
  bucket: Bucket,
  keys: BackupKeys,
  tombstone: { backupId: string; reasons: readonly string[]; at: Date },
): Promise<void> {
  const { at, ...about } = tombstone
  await putJson(bucket, keys.tombstone, { version: 1, ...about, startedAt: at.toISOString() })
}

export async function removeTombstone(bucket: Bucket, keys: BackupKeys): Promise<void> {
  const key = keys.tombstone
  try {
    await bucket.s3.send(new DeleteObjectCommand({ Bucket: bucket.name, Key: key }))
  } catch (cause) {
    throw bucketError(bucket, 'delete', key, cause)
  }
}
