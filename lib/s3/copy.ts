import { type S3Client, S3ServiceException, type StorageClass } from '@aws-sdk/client-s3'
import { BackupIncomplete, ResetError } from '../errors.ts'
import { bucketError, isPreconditionFailure } from './bucket.ts'
import { copyInParts } from './copy-in-parts.ts'
import {
  type CopyLimits,
  type CopySource,
  copySourceHeader,
  isGone,
  type Location,
  requireEtag,
} from './copy-source.ts'
import { etagOfEqual, headObject } from './head-object.ts'
import { sendCopy } from './send-copy.ts'

/** What a copy may be made over: nothing that is there (null), or this version. */
type ExpectedTarget = { etag: string | null }

/** What was copied: size and ETag of the source's version, the ETag that S3 gave the copy, and under which name it lies. */
type Copied = { size: number; etag: string; copyEtag: string; copy?: number; storageClass?: string }

type ToCopy = {
  source: CopySource
  /** The bucket, and the key for copy 1, 2, …: a name that is taken by something else is left alone. */
  bucket: string
  keyOf: (copy: number) => string
  /** What lies under the first name already, from a try before, as a listing shows it. */
  there: { size: number; etag: string } | undefined
  /** Asked before another version than the listed one is copied. @throws when it may not be */
  mayFollow: () => Promise<void>
}

/** S3's limit for a key, in bytes of UTF-8. */
const keyMaxBytes = 1024

/**
 * Copies one object on the server side, in the version that was listed, or, when it changed since, in the version it
 * has now. Gives undefined when it no longer exists. Nothing is ever overwritten: a copy that is there, from a try before,
 * is taken when it holds the version, and else the next name is.
 * @throws BackupIncomplete when it changes faster than it can be copied, or its copy's key would be too long
 * @throws StoreUnavailable or NotPermitted when S3 refuses
 */
export async function copyObject(
  s3: S3Client,
  { source, bucket, keyOf, there, mayFollow }: ToCopy,
  { limits, signal }: { limits: CopyLimits; signal: AbortSignal },
): Promise<Copied | undefined> {
  let version: CopySource | undefined = source
  let copy = 1
  let taken = there !== undefined
  // What a try before has copied costs no request, so that a repeat goes on where that one had to stop.
  if (there?.etag === source.etag && there.size === source.size) return copied(source, there.etag, copy)
  for (let attempt = 1; attempt <= limits.tries; attempt++) {
    if (taken) {
      const copyEtag = await etagOfEqual(s3, version, { bucket, key: keyOf(copy) })
      if (copyEtag !== undefined) return copied(version, copyEtag, copy)
      copy++
    }
    const target = { bucket, key: keyOf(copy) }
    refuseLongKey(source, target.key)
    try {
      const data = { source: version, target, expected: { etag: null } }
      return copied(version, await copyVersion(s3, data, { limits, signal }), copy)
    } catch (cause) {
      if (isGone(cause)) return undefined
      if (!isPreconditionFailure(cause) && !isUploadOver(cause)) throw copyError(source, cause)
    }
    // Either end may be the reason, and S3 does not say which: an own try whose answer was lost, or a newer version.
    taken = (await headObject(s3, target)) !== undefined
    if (taken) continue
    version = await currentVersion(s3, source)
    if (version === undefined) return undefined
    if (version.etag !== source.etag) await mayFollow()
  }
  throw new BackupIncomplete(
    `s3://${source.bucket}/${source.key} changed ${limits.tries} times while it was copied. Nothing was wiped; pause what writes it and start again`,
  )
}

/** `storageClass`: what the copy gets; without one STANDARD. */
export type Copying = {
  source: CopySource
  target: Location
  expected: ExpectedTarget
  storageClass?: string | undefined
}

/**
 * One request, or the parts and what completes them, for one version. Gives the ETag of what was made.
 * @throws the S3 error; 412 when the source is another version or the target is not what was expected
 */
export async function copyVersion(
  s3: S3Client,
  { source, target, expected, storageClass }: Copying,
  { limits, signal }: { limits: CopyLimits; signal: AbortSignal },
): Promise<string> {
  const condition = conditionOf(expected)
  const made = storageClass === undefined ? {} : { StorageClass: storageClass as StorageClass }
  if (source.size > limits.single) {
    return await copyInParts(s3, { source, target, condition, made }, { limits, signal })
  }
  const copy = {
    Bucket: target.bucket,
    Key: target.key,
    CopySource: copySourceHeader(source),
    CopySourceIfMatch: source.etag,
    ...condition,
    ...made,
  }
  return requireEtag(await sendCopy(s3, copy, signal), source)
}

function copied({ size, etag, storageClass }: CopySource, copyEtag: string, copy: number): Copied {
  return {
    size,
    etag,
    copyEtag,
    ...(copy === 1 ? {} : { copy }),
    ...(storageClass === undefined ? {} : { storageClass }),
  }
}

function conditionOf({ etag }: ExpectedTarget): { IfMatch?: string; IfNoneMatch?: string } {
  return etag === null ? { IfNoneMatch: '*' } : { IfMatch: etag }
}

function refuseLongKey(source: CopySource, key: string): void {
  const bytes = Buffer.byteLength(key)
  if (bytes <= keyMaxBytes) return
  throw new BackupIncomplete(
    `The key of ${source.key} is so long that its copy's key in the backup, ${bytes} bytes, would exceed S3's limit of ${keyMaxBytes}. Give the object a shorter key, or shorten BACKUP_PREFIX`,
  )
}

async function currentVersion(s3: S3Client, source: CopySource): Promise<CopySource | undefined> {
  const found = await headObject(s3, source)
  if (found === undefined) return undefined
  const { ContentLength: size = source.size, StorageClass: storageClass } = found
  return { ...source, size, etag: requireEtag(found.ETag, source), storageClass }
}

/** What S3 says when an upload was completed, and its answer was lost. */
function isUploadOver(error: unknown): boolean {
  return error instanceof S3ServiceException && error.name === 'NoSuchUpload'
}

function copyError(source: CopySource, cause: unknown): Error {
  if (cause instanceof ResetError) return cause
  return bucketError({ name: source.bucket }, 'copy', source.key, cause)
}
