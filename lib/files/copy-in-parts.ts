import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  type S3Client,
  type Tag,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3'
import pMap from 'p-map'
import { type CopyLimits, copySource, requireEtag, type Source, type Target } from './copy-object.ts'

/** Parts of one object that are copied at the same time: so many that a terabyte fits into an invocation's 15 minutes. */
const concurrency = 32

/**
 * Copies one version of a large object range by range, and gives the copy's ETag. What CopyObject would take along
 * (content type, metadata, tags) is stated again, because a multipart upload begins without.
 * @throws the S3 error of the first part that fails; 412 when the object changed meanwhile. The upload is then aborted.
 */
export async function copyInParts(
  s3: S3Client,
  { source, target }: { source: Source; target: Target },
  limits: CopyLimits,
): Promise<string> {
  const upload = { Bucket: target.bucket, Key: target.key, UploadId: await begin(s3, source, target) }
  const partBytes = Math.max(limits.part, Math.ceil(source.size / limits.parts))
  const starts = Array.from({ length: Math.ceil(source.size / partBytes) }, (_, part) => part * partBytes)
  try {
    const parts = await pMap(
      starts,
      async (start, index) => {
        const end = Math.min(start + partBytes, source.size) - 1
        const part = new UploadPartCopyCommand({
          ...upload,
          PartNumber: index + 1,
          CopySource: copySource(source),
          CopySourceIfMatch: source.etag,
          CopySourceRange: `bytes=${start}-${end}`,
        })
        const answer = await s3.send(part)
        return { PartNumber: index + 1, ETag: requireEtag(answer.CopyPartResult?.ETag, source) }
      },
      { concurrency },
    )
    const complete = new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts: parts } })
    return requireEtag((await s3.send(complete)).ETag, source)
  } catch (cause) {
    // Parts without an object cost storage until a lifecycle rule finds them. The cause is what counts, not this.
    await s3.send(new AbortMultipartUploadCommand(upload)).catch(() => {})
    throw cause
  }
}

async function begin(s3: S3Client, source: Source, target: Target): Promise<string> {
  const version = { Bucket: source.bucket, Key: source.key }
  const head = await s3.send(new HeadObjectCommand({ ...version, IfMatch: source.etag }))
  const tags = head.TagCount ? (await s3.send(new GetObjectTaggingCommand(version))).TagSet : undefined
  const create = new CreateMultipartUploadCommand({
    Bucket: target.bucket,
    Key: target.key,
    ...described(head),
    ...(tags?.length ? { Tagging: taggingOf(tags) } : {}),
  })
  const { UploadId } = await s3.send(create)
  if (UploadId === undefined) throw new Error('S3 began a multipart upload without naming it')
  return UploadId
}

function taggingOf(tags: readonly Tag[]): string {
  const query = new URLSearchParams()
  for (const { Key = '', Value = '' } of tags) query.append(Key, Value)
  return query.toString()
}

function described(head: HeadObjectCommandOutput) {
  const { Metadata, ContentType, CacheControl, ContentDisposition, ContentEncoding, ContentLanguage } = head
  const expires = new Date(head.ExpiresString ?? '')
  const given = { Metadata, ContentType, CacheControl, ContentDisposition, ContentEncoding, ContentLanguage }
  return {
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
    ...(Number.isNaN(expires.getTime()) ? {} : { Expires: expires }),
  }
}
