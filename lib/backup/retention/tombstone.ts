import { DeleteObjectCommand } from '@aws-sdk/client-s3'
import { type Storage, storageError } from '../../s3/bucket.ts'
import { putJson } from '../documents/write.ts'
import type { backupKeys } from '../layout.ts'

type Keys = ReturnType<typeof backupKeys>

/**
 * `pruning.json` is written before a backup's manifest is deleted. A folder that has it and no manifest is what a prune
 * left half deleted. A folder without it is never cleared: without a manifest it may be a backup that is being written.
 */
export const tombstoneKey = ({ root }: Keys) => `${root}pruning.json`

export async function putTombstone(
  storage: Storage,
  keys: Keys,
  tombstone: { backupId: string; reasons: readonly string[]; at: Date },
): Promise<void> {
  const { at, ...about } = tombstone
  await putJson(storage, tombstoneKey(keys), { version: 1, ...about, startedAt: at.toISOString() })
}

export async function removeTombstone(storage: Storage, keys: Keys): Promise<void> {
  const key = tombstoneKey(keys)
  try {
    await storage.s3.send(new DeleteObjectCommand({ Bucket: storage.bucket, Key: key }))
  } catch (cause) {
    throw storageError(storage, 'delete', key, cause)
  }
}
