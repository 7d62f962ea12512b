import {
  CopyObjectCommand,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  type S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3'
import { isMissing, isPreconditionFailure, storageError } from '../backup/storage.ts'
import { BackupDamaged, ResetError, StoreUnavailable } from '../errors.ts'
import { copyInParts } from './copy-in-parts.ts'
import { type CopyLimits, copySource, requireEtag, type Source, type Target } from './copy-object.ts'

/**
 * What the target has to be for it to be overwritten: `etag` the version that may go, null: nothing may be there.
 * Without it, whatever is there is overwritten.
 */
export type Expected = { etag: string | null } | undefined

/**
 * Copies one object of a backup back, on S3's side, in the version that the backup was made with. Gives the ETag that S3
 * gave to it, or 'changed' when the target is no longer what was expected, and was left as it is. Above `limits.single`
 * S3 knows no such condition for the parts, and what is written in the moment between the listing and the end is lost.
 * @throws BackupDamaged when the backup's copy is gone or is another one
 * @throws StoreUnavailable or NotPermitted when S3 refuses
 */
export async function restoreObject(
  s3: S3Client,
  { source, target, expected }: { source: Source; target: Target; expected: Expected },
  limits: CopyLimits,
): Promise<string | 'changed'> {
  try {
    if (source.size > limits.single) return await copyInParts(s3, { source, target }, limits)
    const copy = new CopyObjectCommand({
      Bucket: target.bucket,
      Key: target.key,
      CopySource: copySource(source),
      CopySourceIfMatch: source.etag,
      ...conditionOf(expected),
    })
    return requireEtag((await s3.send(copy)).CopyObjectResult?.ETag, source)
  } catch (cause) {
    if (cause instanceof ResetError) throw cause
    if (!(isPreconditionFailure(cause) || isGone(cause))) throw refusal(s3, { source, target }, cause)
    // Either end may be the reason: S3 does not say which.
    const found = await head(s3, source)
    if (found?.ETag === source.etag) {
      if (expected === undefined) throw refusal(s3, { source, target }, cause)
      return 'changed'
    }
    throw new BackupDamaged(
      `s3://${source.bucket}/${source.key} ${found === undefined ? 'no longer exists' : `has the ETag ${found.ETag}, but the backup was made with ${source.etag}`}. Bring back that version of the object, or use another backup`,
      { cause },
    )
  }
}

/**
 * Whether two objects hold the same bytes by the checksums that S3 keeps of them. ETags do not tell where an object is
 * encrypted with KMS or was written in parts. False when there is no checksum that both have.
 */
export async function haveSameContent(s3: S3Client, a: Target, b: Target): Promise<boolean> {
  const [first, second] = [await head(s3, a), await head(s3, b)]
  if (first === undefined || second === undefined) return false
  if (first.ContentLength !== second.ContentLength || first.ChecksumType !== second.ChecksumType) return false
  const common = checksums.filter((name) => first[name] !== undefined && second[name] !== undefined)
  return common.length > 0 && common.every((name) => first[name] === second[name])
}

const checksums = [
  'ChecksumCRC64NVME',
  'ChecksumCRC32',
  'ChecksumCRC32C',
  'ChecksumSHA1',
  'ChecksumSHA256',
] as const satisfies readonly (keyof HeadObjectCommandOutput)[]

async function head(s3: S3Client, { bucket, key }: Target): Promise<HeadObjectCommandOutput | undefined> {
  try {
    return await s3.send(new HeadObjectCommand({ Bucket: bucket, Key: key, ChecksumMode: 'ENABLED' }))
  } catch (cause) {
    if (isMissing(cause)) return undefined
    throw storageError({ s3, bucket }, 'read', key, cause)
  }
}

function refusal(
  s3: S3Client,
  { source, target }: { source: Source; target: Target },
  cause: unknown,
): Error {
  if (cause instanceof S3ServiceException && cause.name === 'InvalidObjectState') {
    return new StoreUnavailable(
      `s3://${source.bucket}/${source.key} is archived (Glacier) and cannot be copied. Restore it from the archive, then start again`,
      { cause },
    )
  }
  return storageError({ s3, bucket: target.bucket }, 'restore', target.key, cause)
}

/** Also what S3 says of a condition on a target that is gone. A bucket that is gone is a 404 too, and something else. */
function isGone(cause: unknown): boolean {
  return cause instanceof S3ServiceException && cause.name === 'NoSuchKey'
}

function conditionOf(expected: Expected): { IfMatch?: string; IfNoneMatch?: string } {
  if (expected === undefined) return {}
  return expected.etag === null ? { IfNoneMatch: '*' } : { IfMatch: expected.etag }
}
