import { CopyObjectCommand, HeadObjectCommand, type S3Client, S3ServiceException } from '@aws-sdk/client-s3'
import { isMissing, isPreconditionFailure, storageError } from '../backup/storage.ts'
import { BackupIncomplete, ResetError, StoreUnavailable } from '../errors.ts'
import { copyInParts } from './copy-in-parts.ts'

/** One object to copy inside S3: its version is the one whose ETag is given. `size` in bytes. */
export type Source = { bucket: string; key: string; size: number; etag: string }
export type Target = { bucket: string; key: string }

/** What was copied: size and ETag of the source's version, and the ETag that S3 gave the copy. */
export type Copied = { size: number; etag: string; copyEtag: string }

/** In bytes. S3 copies at most 5 GiB at once; larger objects go in parts of 5 MiB to 5 GiB, at most 10,000 of them. */
export const copyLimits = { single: 5 * 2 ** 30, part: 512 * 2 ** 20, parts: 10_000, tries: 5 }
export type CopyLimits = typeof copyLimits

/** S3's limit for a key, in bytes of UTF-8. */
const keyMaxBytes = 1024

/**
 * Copies one object on the server side, in the version that was listed, or, when it changed since, in the version it
 * has now. Gives undefined when it no longer exists. Repeating it overwrites the copy.
 * @throws BackupIncomplete when it changes faster than it can be copied, or its copy's key would be too long
 * @throws StoreUnavailable or NotPermitted when S3 refuses
 */
export async function copyObject(
  s3: S3Client,
  { source, target }: { source: Source; target: Target },
  limits: CopyLimits,
): Promise<Copied | undefined> {
  if (Buffer.byteLength(target.key) > keyMaxBytes) {
    throw new BackupIncomplete(
      `The key of ${source.key} is so long that its copy's key in the backup, ${Buffer.byteLength(target.key)} bytes, would exceed S3's limit of ${keyMaxBytes}. Give the object a shorter key, or shorten BACKUP_PREFIX`,
    )
  }
  let version: Source | undefined = source
  for (let attempt = 1; attempt <= limits.tries; attempt++) {
    if (version === undefined) return undefined
    try {
      const copyEtag = await copyVersion(s3, { source: version, target }, limits)
      return { size: version.size, etag: version.etag, copyEtag }
    } catch (cause) {
      if (isGone(cause)) return undefined
      if (!isPreconditionFailure(cause)) throw copyError(s3, source, cause)
    }
    version = await currentVersion(s3, source)
  }
  throw new BackupIncomplete(
    `s3://${source.bucket}/${source.key} changed ${limits.tries} times while it was copied. Nothing was wiped; pause what writes it and start again`,
  )
}

/** The value of a CopySource header: encoded by the caller, because the SDK sends it as it is. */
export function copySource({ bucket, key }: { bucket: string; key: string }): string {
  return `${bucket}/${key.split('/').map(encodeURIComponent).join('/')}`
}

/** @throws BackupIncomplete when S3 answered 200 without an ETag, which some servers do for copies that failed */
export function requireEtag(etag: string | undefined, { bucket, key }: Source): string {
  if (etag) return etag
  throw new BackupIncomplete(
    `S3 answered the copy of s3://${bucket}/${key} with success but without an ETag, so it may not have been copied. Nothing was wiped; start again`,
  )
}

async function copyVersion(
  s3: S3Client,
  { source, target }: { source: Source; target: Target },
  limits: CopyLimits,
): Promise<string> {
  if (source.size > limits.single) return await copyInParts(s3, { source, target }, limits)
  const copy = new CopyObjectCommand({
    Bucket: target.bucket,
    Key: target.key,
    CopySource: copySource(source),
    CopySourceIfMatch: source.etag,
  })
  const answer = await s3.send(copy)
  return requireEtag(answer.CopyObjectResult?.ETag, source)
}

async function currentVersion(s3: S3Client, source: Source): Promise<Source | undefined> {
  try {
    const head = await s3.send(new HeadObjectCommand({ Bucket: source.bucket, Key: source.key }))
    return { ...source, size: head.ContentLength ?? source.size, etag: requireEtag(head.ETag, source) }
  } catch (cause) {
    if (isMissing(cause)) return undefined
    throw copyError(s3, source, cause)
  }
}

/** Only the object: a bucket or an upload that is gone is a 404 too, and no reason to leave the object out. */
function isGone(error: unknown): boolean {
  return error instanceof S3ServiceException && error.name === 'NoSuchKey'
}

function copyError(s3: S3Client, source: Source, cause: unknown): Error {
  if (cause instanceof ResetError) return cause
  if (cause instanceof S3ServiceException && cause.name === 'InvalidObjectState') {
    return new StoreUnavailable(
      `s3://${source.bucket}/${source.key} is archived (Glacier) and cannot be copied. Restore it from the archive, then start again`,
      { cause },
    )
  }
  return storageError({ s3, bucket: source.bucket }, 'copy', source.key, cause)
}
