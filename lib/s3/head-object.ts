import { HeadObjectCommand, type HeadObjectCommandOutput, type S3Client } from '@aws-sdk/client-s3'
import { bucketError, isMissing } from './bucket.ts'
import type { CopySource, Location } from './copy-source.ts'

/**
 * Whether two objects hold the same bytes by the checksums that S3 keeps of them. ETags do not tell where an object is
 * encrypted with KMS or was written in parts. False when there is no checksum that both have.
 */
export async function haveSameContent(s3: S3Client, a: Location, b: Location): Promise<boolean> {
  const [first, second] = [await headObject(s3, a), await headObject(s3, b)]
  return first !== undefined && second !== undefined && haveSameChecksums(first, second)
}

/** The ETag of the target when it holds the version: by an ETag that both have, or by checksums. Else undefined. */
export async function etagOfEqual(
  s3: S3Client,
  version: CopySource,
  target: Location,
): Promise<string | undefined> {
  const there = await headObject(s3, target)
  if (there === undefined || there.ContentLength !== version.size) return undefined
  if (there.ETag === version.etag) return there.ETag
  const source = await headObject(s3, version)
  return source?.ETag === version.etag && haveSameChecksums(source, there) ? there.ETag : undefined
}

/** What S3 says of an object, with its checksums; undefined when there is none. */
export async function headObject(
  s3: S3Client,
  { bucket, key }: Location,
): Promise<HeadObjectCommandOutput | undefined> {
  try {
    return await s3.send(new HeadObjectCommand({ Bucket: bucket, Key: key, ChecksumMode: 'ENABLED' }))
  } catch (cause) {
    if (isMissing(cause)) return undefined
    throw bucketError({ name: bucket }, 'read', key, cause)
  }
}

function haveSameChecksums(first: HeadObjectCommandOutput, second: HeadObjectCommandOutput): boolean {
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
