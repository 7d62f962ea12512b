import type { S3Client } from '@aws-sdk/client-s3'
import { BackupDamaged, ResetError } from '../../errors.ts'
import { bucketError, isArchived, isPreconditionFailure } from '../../s3/bucket.ts'
import { type Copying, copyVersion } from '../../s3/copy.ts'
import { type CopyLimits, type CopySource, isGone, type Location } from '../../s3/copy-source.ts'
import { headObject } from '../../s3/head-object.ts'

/**
 * Copies one object of a backup back, on S3's side, in the version that the backup was made with. Gives the ETag that S3
 * gave to it, or 'changed' when the target is no longer what was expected, and was left as it is.
 * @throws BackupDamaged when the backup's copy is gone or is another one
 * @throws StoreUnavailable or NotPermitted when S3 refuses
 */
export async function restoreObject(
  s3: S3Client,
  copying: Copying,
  options: { limits: CopyLimits; signal: AbortSignal },
): Promise<string | 'changed'> {
  const { source, target } = copying
  try {
    return await copyVersion(s3, copying, options)
  } catch (cause) {
    if (cause instanceof ResetError) throw cause
    if (!(isPreconditionFailure(cause) || isGone(cause))) throw refusal({ source, target }, cause)
    // Either end may be the reason: S3 does not say which.
    const found = await headObject(s3, source)
    if (found?.ETag === source.etag) return 'changed'
    throw new BackupDamaged(
      `s3://${source.bucket}/${source.key} ${found === undefined ? 'no longer exists' : `has the ETag ${found.ETag}, but the backup was made with ${source.etag}`}. Bring back that version of the object, or use another backup`,
      { cause },
    )
  }
}

function refusal({ source, target }: { source: CopySource; target: Location }, cause: unknown): Error {
  if (isArchived(cause)) return bucketError({ name: source.bucket }, 'copy', source.key, cause)
  return bucketError({ name: target.bucket }, 'restore', target.key, cause)
}
