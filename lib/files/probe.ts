import {
  CopyObjectCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  PutObjectCommand,
  S3ServiceException,
} from '@aws-sdk/client-s3'
import { filesKeys, workKeys } from '../backup/layout.ts'
import type { Warning } from '../backup/manifest.ts'
import type { Clients } from '../clients.ts'
import { StoreUnavailable } from '../errors.ts'
import type { RunRef } from '../ledger/run-ref.ts'
import { type Bucket, bucketError, exists, isPreconditionFailure } from '../s3/bucket.ts'
import { copySourceHeader } from '../s3/copy-source.ts'

/** An ETag that no object of these probes has. */
const otherEtag = `"${'0'.repeat(32)}"`

/**
 * Tries on objects of its own whether the S3 server heeds the conditions that keep what changed at the last moment: of
 * deletions and copies into the files, and of copies into the backup. Amazon S3 does; some S3-compatible servers do as if
 * there were none. The object in the files bucket lies below `.taskmaster/` and is deleted again.
 * @param changesFiles whether the run is to delete or write files; else nothing is written into their bucket
 * @returns a warning that names what is not heeded
 * @throws StoreUnavailable, NotPermitted when a probe cannot be made, or the server knows no conditions of copies
 * @see docs/decisions.md#count-tries-whether-the-s3-server-heeds-conditions
 */
export async function probeConditions(
  { files, backups }: Pick<Clients, 'files' | 'backups'>,
  { run, changesFiles }: { run: RunRef; changesFiles: boolean },
): Promise<Warning[]> {
  const source = { bucket: backups, key: workKeys(run).probe(1) }
  const target = { bucket: backups, key: workKeys(run).probe(2) }
  await put(source)
  await put(target)
  const copies = [
    await isCopied(source, target, { IfNoneMatch: '*' }),
    await isCopied(source, target, { CopySourceIfMatch: otherEtag }),
  ]
  const deletions: boolean[] = []
  if (changesFiles) {
    const probe = { bucket: files, key: filesKeys.probe(run) }
    await put(probe)
    copies.push(await isCopied(source, probe, { IfNoneMatch: '*' }))
    copies.push(await isCopied(source, probe, { IfMatch: otherEtag }))
    deletions.push(await isDeletedTogether(probe), await isDeletedAlone(probe))
    await deleteProbe(probe)
  }
  const ignored = [
    ...(copies.some(Boolean) ? ['copies'] : []),
    ...(deletions.some(Boolean) ? ['deletions'] : []),
  ]
  if (ignored.length === 0) return []
  return [
    {
      code: 'ConditionsIgnored',
      message: `The S3 server does not heed the conditions of ${ignored.join(' and ')}: a file that is written in the moment between a listing and its deletion or restore can be lost, and a step that is repeated can write over its first copy. Pause what writes files during a run, or use a server that knows If-Match and If-None-Match`,
    },
  ]
}

type Probe = { bucket: Bucket; key: string }

async function put({ bucket, key }: Probe): Promise<void> {
  try {
    await bucket.s3.send(new PutObjectCommand({ Bucket: bucket.name, Key: key, Body: 'probe' }))
  } catch (cause) {
    throw bucketError(bucket, 'write', key, cause)
  }
}

/** Whether a copy was made although its condition does not hold. */
async function isCopied(
  source: Probe,
  { bucket, key }: Probe,
  condition: { IfNoneMatch: string } | { IfMatch: string } | { CopySourceIfMatch: string },
): Promise<boolean> {
  const from = copySourceHeader({ bucket: source.bucket.name, key: source.key })
  try {
    await bucket.s3.send(
      new CopyObjectCommand({ Bucket: bucket.name, Key: key, CopySource: from, ...condition }),
    )
    return true
  } catch (cause) {
    if (isPreconditionFailure(cause)) return false
    if (cause instanceof S3ServiceException && cause.$metadata.httpStatusCode === 501) {
      throw new StoreUnavailable(
        `The S3 server of ${bucket.name} knows no copies with ${Object.keys(condition)[0]} (501), so no backup of files could be kept from being overwritten. Nothing was touched; update the server, or use another one`,
        { cause },
      )
    }
    throw bucketError(bucket, 'copy', key, cause)
  }
}

async function isDeletedTogether(probe: Probe): Promise<boolean> {
  const { bucket, key } = probe
  const Objects = [{ Key: key, ETag: otherEtag }]
  try {
    await bucket.s3.send(new DeleteObjectsCommand({ Bucket: bucket.name, Delete: { Objects, Quiet: true } }))
  } catch (cause) {
    throw bucketError(bucket, 'delete', key, cause)
  }
  return !(await exists(bucket, key)) // S3's answer says nothing
}

async function isDeletedAlone(probe: Probe): Promise<boolean> {
  const { bucket, key } = probe
  if (!(await exists(bucket, key))) return true
  try {
    await bucket.s3.send(new DeleteObjectCommand({ Bucket: bucket.name, Key: key, IfMatch: otherEtag }))
  } catch (cause) {
    if (isPreconditionFailure(cause)) return false
    throw bucketError(bucket, 'delete', key, cause)
  }
  return !(await exists(bucket, key))
}

async function deleteProbe({ bucket, key }: Probe): Promise<void> {
  try {
    await bucket.s3.send(new DeleteObjectCommand({ Bucket: bucket.name, Key: key }))
  } catch (cause) {
    throw bucketError(bucket, 'delete', key, cause)
  }
}
