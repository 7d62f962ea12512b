import { HeadObjectCommand, type HeadObjectCommandOutput, type S3Client } from '@aws-sdk/client-s3'
import { bucketError, isMissing } from './bucket.ts'
import type { CopySource, Location } from './copy-source.ts'
import type { OwnAnswer } from './own-answer.ts'
import { afterSigning, sendLight } from './own-request.ts'

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

/** What is asked of an object. */
export type ObjectHead = Pick<
  HeadObjectCommandOutput,
  | 'ETag'
  | 'ContentLength'
  | 'StorageClass'
  | 'WebsiteRedirectLocation'
  | 'ObjectLockMode'
  | 'ObjectLockLegalHoldStatus'
  | 'ServerSideEncryption'
  | 'SSEKMSKeyId'
  | 'ChecksumType'
  | (typeof checksums)[number]
>

/** What S3 says of an object, with its checksums; undefined when there is none. */
export async function headObject(s3: S3Client, { bucket, key }: Location): Promise<ObjectHead | undefined> {
  const headers = { 'x-amz-checksum-mode': 'ENABLED' }
  try {
    return await sendLight<ObjectHead | undefined>(
      s3,
      { method: 'HEAD', bucket, key, headers },
      {
        read,
        bySdk: async (learn) => {
          const head = new HeadObjectCommand({ Bucket: bucket, Key: key, ChecksumMode: 'ENABLED' })
          head.middlewareStack.add(
            (next) => (call) => {
              learn(call.request)
              return next(call)
            },
            afterSigning,
          )
          return await s3.send(head)
        },
      },
    )
  } catch (cause) {
    if (isMissing(cause)) return undefined
    throw bucketError({ name: bucket }, 'read', key, cause)
  }
}

function read({ status, headers }: OwnAnswer): { result: ObjectHead | undefined } | undefined {
  if (status === 404) return { result: undefined }
  const length = headers['content-length']
  if (status !== 200 || headers.etag === undefined || length === undefined) return undefined
  const told = Object.entries(headerOf).flatMap(([name, header]) =>
    typeof headers[header] === 'string' ? [[name, headers[header]]] : [],
  )
  return { result: { ...Object.fromEntries(told), ContentLength: Number(length) } }
}

const headerOf: Record<Exclude<keyof ObjectHead, 'ContentLength'>, string> = {
  ETag: 'etag',
  StorageClass: 'x-amz-storage-class',
  WebsiteRedirectLocation: 'x-amz-website-redirect-location',
  ObjectLockMode: 'x-amz-object-lock-mode',
  ObjectLockLegalHoldStatus: 'x-amz-object-lock-legal-hold',
  ServerSideEncryption: 'x-amz-server-side-encryption',
  SSEKMSKeyId: 'x-amz-server-side-encryption-aws-kms-key-id',
  ChecksumType: 'x-amz-checksum-type',
  ChecksumCRC64NVME: 'x-amz-checksum-crc64nvme',
  ChecksumCRC32: 'x-amz-checksum-crc32',
  ChecksumCRC32C: 'x-amz-checksum-crc32c',
  ChecksumSHA1: 'x-amz-checksum-sha1',
  ChecksumSHA256: 'x-amz-checksum-sha256',
}

function haveSameChecksums(first: ObjectHead, second: ObjectHead): boolean {
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
