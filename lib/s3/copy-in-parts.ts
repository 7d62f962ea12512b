import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  type S3Client,
  type StorageClass,
  type Tag,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3'
import { atOnce } from './at-once.ts'
import {
  type CopyLimits,
  type CopySource,
  copySourceHeader,
  type Location,
  requireEtag,
} from './copy-source.ts'

/** What the object gets beside what its source has. */
type Made = { StorageClass?: StorageClass }
type Condition = { IfMatch?: string; IfNoneMatch?: string }

/** Parts of one object that are copied at the same time: so many that a terabyte fits into an invocation's 15 minutes. */
const concurrency = 32

/**
 * Copies one version of a large object range by range, and gives the copy's ETag. What CopyObject would take along
 * (content type, metadata, tags) is stated again, because a multipart upload begins without.
 * @param condition is of the target, and looked at when the upload is completed: only that makes an object
 * @throws the S3 error of the first part that fails; 412 when the object changed meanwhile, or the condition does not hold.
 *   The upload is then aborted.
 */
export async function copyInParts(
  s3: S3Client,
  {
    source,
    target,
    condition,
    made,
  }: { source: CopySource; target: Location; condition: Condition; made: Made },
  { limits, signal }: { limits: CopyLimits; signal: AbortSignal },
): Promise<string> {
  const upload = {
    Bucket: target.bucket,
    Key: target.key,
    UploadId: await begin(s3, { source, target, made }, signal),
  }
  const partBytes = Math.max(limits.part, Math.ceil(source.size / limits.parts))
  const numbers = Array.from({ length: Math.ceil(source.size / partBytes) }, (_, part) => part + 1)
  try {
    const parts = await atOnce(
      numbers,
      async (PartNumber, abortSignal) => {
        const start = (PartNumber - 1) * partBytes
        const end = Math.min(start + partBytes, source.size) - 1
        const part = new UploadPartCopyCommand({
          ...upload,
          PartNumber,
          CopySource: copySourceHeader(source),
          CopySourceIfMatch: source.etag,
          CopySourceRange: `bytes=${start}-${end}`,
        })
        const answer = await s3.send(part, { abortSignal })
        return { PartNumber, ETag: requireEtag(answer.CopyPartResult?.ETag, source) }
      },
      { concurrency, signal },
    )
    const complete = new CompleteMultipartUploadCommand({
      ...upload,
      ...condition,
      MultipartUpload: { Parts: parts },
    })
    return requireEtag((await s3.send(complete, { abortSignal: signal })).ETag, source)
  } catch (cause) {
    // Parts without an object cost storage until a lifecycle rule finds them. The cause is what counts, not this.
    await s3.send(new AbortMultipartUploadCommand(upload)).catch(() => {})
    throw cause
  }
}

async function begin(
  s3: S3Client,
  { source, target, made }: { source: CopySource; target: Location; made: Made },
  abortSignal: AbortSignal,
): Promise<string> {
  const version = { Bucket: source.bucket, Key: source.key }
  const head = await s3.send(new HeadObjectCommand({ ...version, IfMatch: source.etag }))
  const tags = head.TagCount ? (await s3.send(new GetObjectTaggingCommand(version))).TagSet : undefined
  const create = new CreateMultipartUploadCommand({
    Bucket: target.bucket,
    Key: target.key,
    ...described(head),
    ...made,
    ...(tags?.length ? { Tagging: taggingOf(tags) } : {}),
  })
  keepExpires(create, head.ExpiresString)
  const { UploadId } = await s3.send(create, { abortSignal })
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
  const { WebsiteRedirectLocation } = head
  const given = {
    ...{ Metadata, ContentType, CacheControl, ContentDisposition, ContentEncoding, ContentLanguage },
    WebsiteRedirectLocation,
  }
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
}

/** As the header it was: the SDK takes a date, and S3 keeps any text. */
function keepExpires(create: CreateMultipartUploadCommand, expires: string | undefined): void {
  if (expires === undefined) return
  create.middlewareStack.add(
    (next) => (call) => {
      const { headers } = call.request as { headers: Record<string, string> }
      headers.expires = expires
      return next(call)
    },
    { step: 'build', name: 'keepExpires' },
  )
}
