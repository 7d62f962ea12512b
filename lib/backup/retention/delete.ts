import { StoreUnavailable } from '../../errors.ts'
import type { Bucket } from '../../s3/bucket.ts'
import { deleteObjects } from '../../s3/delete.ts'
import { type ListedObject, listRange } from '../../s3/list.ts'
import { backupKeys } from '../layout.ts'
import { isSealed } from '../read.ts'
import { isPinned } from './pin.ts'
import { putTombstone, removeTombstone } from './tombstone.ts'

/** Objects and their bytes that are gone; `failures`: S3 refused to delete them; `failed` names 20 with S3's code. */
export type Deleted = {
  objects: number
  bytes: number
  failures: number
  failed: { key: string; code: string }[]
}

const failuresNamed = 20

type Folder = { prefix: string; backupId: string }

/**
 * Makes a backup none, which is the first half of deleting it: tombstone, then a last look for a pin, then the manifest.
 * @param about `held`: asked right before the manifest goes; what it throws leaves the backup as it was, but for the tombstone
 * @returns `pinned` when it was pinned in the meantime; then it is what it was
 */
export async function retireBackup(
  bucket: Bucket,
  { prefix, backupId }: Folder,
  { reasons, at, held }: { reasons: readonly string[]; at: Date; held: () => Promise<unknown> },
): Promise<Deleted | 'pinned'> {
  const keys = backupKeys(prefix, backupId)
  await putTombstone(bucket, keys, { backupId, reasons, at })
  if (await isPinned(bucket, prefix, backupId)) {
    await removeTombstone(bucket, keys)
    return 'pinned'
  }
  const deleted = nothing()
  for await (const page of listRange(bucket, { prefix: keys.manifest })) {
    const manifest = page.filter(({ key }) => key === keys.manifest)
    await held()
    await deletePage(bucket, manifest, deleted)
  }
  return deleted
}

/**
 * Deletes what is left of a retired backup, late files first and the tombstone last, and only when all the rest is gone:
 * repeating it goes on where it ended. Adds to `deleted`.
 * @throws what `signal` was aborted with, before the next request
 */
export async function clearRetired(
  bucket: Bucket,
  { prefix, backupId }: Folder,
  { deleted = nothing(), signal }: { deleted?: Deleted; signal?: AbortSignal | undefined } = {},
): Promise<Deleted> {
  const keys = backupKeys(prefix, backupId)
  if (await isSealed(bucket, prefix, backupId)) {
    throw new StoreUnavailable(
      `s3://${bucket.name}/${keys.manifest} is there although it was deleted, so the backup ${backupId} is left as it is. Look who writes it`,
    )
  }
  for (const part of [keys.lateFiles, keys.root]) {
    for await (const page of listRange(bucket, { prefix: part })) {
      signal?.throwIfAborted()
      const objects = page.filter(({ key }) => key !== keys.tombstone)
      await deletePage(bucket, objects, deleted)
    }
  }
  if (deleted.failures === 0) await removeTombstone(bucket, keys)
  return deleted
}

/** What a folder holds: what deleting it would delete. */
export async function sizeOfFolder(bucket: Bucket, { prefix, backupId }: Folder): Promise<Deleted> {
  const size = nothing()
  for await (const page of listRange(bucket, { prefix: backupKeys(prefix, backupId).root })) {
    for (const object of page) add(size, object)
  }
  return size
}

/** Each object in the version that was listed; S3 answers 200 whatever became of the single ones. */
async function deletePage(bucket: Bucket, objects: readonly ListedObject[], deleted: Deleted): Promise<void> {
  const refused = await deleteObjects(bucket, objects, null)
  for (const object of objects) {
    const code = refused.get(object.key)
    if (code === undefined) add(deleted, object)
    else if (++deleted.failures <= failuresNamed) deleted.failed.push({ key: object.key, code })
  }
}

function add(sums: Deleted, { size }: { size: number }): void {
  sums.objects++
  sums.bytes += size
}

function nothing(): Deleted {
  return { objects: 0, bytes: 0, failures: 0, failed: [] }
}
