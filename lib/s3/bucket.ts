import { Readable } from 'node:stream'
import {
  AbortMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  type GetObjectCommandOutput,
  HeadObjectCommand,
  type S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3'
import { messageOf, NotFound, NotPermitted, ResetError, StoreUnavailable } from '../errors.ts'
import type { SigningKey } from '../signature.ts'

/** A bucket and the client to reach it; of the backup bucket also the keys that sign what is written there. */
export type Bucket = { s3: S3Client; name: string; signing?: readonly SigningKey[] }

/** Whether the object is there. @throws NotPermitted, StoreUnavailable when S3 does not say */
export async function exists(bucket: Bucket, key: string): Promise<boolean> {
  try {
    await bucket.s3.send(new HeadObjectCommand({ Bucket: bucket.name, Key: key }))
    return true
  } catch (cause) {
    if (isMissing(cause)) return false
    throw bucketError(bucket, 'read', key, cause)
  }
}

/**
 * Proves that the prefix can be written to, by beginning an upload and giving it up: no object is made.
 * @throws NotPermitted, StoreUnavailable
 */
export async function checkWritable(bucket: Bucket, key: string): Promise<void> {
  const target = { Bucket: bucket.name, Key: key }
  try {
    const upload = await bucket.s3.send(new CreateMultipartUploadCommand(target))
    await bucket.s3.send(new AbortMultipartUploadCommand({ ...target, UploadId: upload.UploadId }))
  } catch (cause) {
    throw bucketError(bucket, 'write', key, cause)
  }
}

/**
 * S3's answer with an object, or with a range of its bytes, both ends inclusive. One that breaks off is an error when its bytes are
 * read; of one that does not say how long it is, as behind some proxies, the object's own size tells.
 * @throws NotFound, NotPermitted; StoreUnavailable also for an error behind a 200, which has no ETag
 * @see docs/decisions.md#a-connection-that-breaks-is-no-damage
 */
export async function openObject(
  bucket: Bucket,
  key: string,
  range?: readonly [first: number, last: number],
): Promise<Omit<GetObjectCommandOutput, 'Body'> & { Body: Readable }> {
  const object = { Bucket: bucket.name, Key: key }
  const asked = range === undefined ? {} : { Range: `bytes=${range[0]}-${range[1]}` }
  let body: Readable | undefined
  try {
    const answer = await bucket.s3.send(new GetObjectCommand({ ...object, ...asked }))
    body = answer.Body as Readable | undefined
    if (answer.ETag === undefined || body === undefined)
      throw new Error('what it answered is no object, because it has no ETag')
    if (answer.ContentLength !== undefined) return { ...answer, Body: body }
    const { ContentLength: size = Number.NaN } = await bucket.s3.send(new HeadObjectCommand(object))
    const [first, last] = range ?? [0, size - 1]
    return { ...answer, Body: heldTo(body, Math.min(last, size - 1) + 1 - first) }
  } catch (cause) {
    body?.destroy()
    throw bucketError(bucket, 'read', key, cause)
  }
}

/** The bytes, as `whole` gives them. What destroys it ends the answer as well, also while that has nothing to give. */
function heldTo(body: Readable, length: number): Readable {
  const held = Readable.from(whole(body, length))
  const destroy = held._destroy
  held._destroy = (error, done) => {
    body.destroy()
    destroy.call(held, error, () => done(error))
  }
  return held
}

/** @throws when there are fewer bytes, or more, whatever their checksum says then; of NaN nothing is known */
async function* whole(body: AsyncIterable<Buffer>, length: number): AsyncGenerator<Buffer> {
  let bytes = 0
  const refusal = () => new Error(`its answer has ${bytes} bytes, and the object ${length}`)
  try {
    for await (const chunk of body) {
      bytes += chunk.length
      if (bytes > length) throw refusal()
      yield chunk
    }
  } catch (cause) {
    throw bytes < length ? refusal() : cause
  }
  if (bytes < length) throw refusal()
}

/**
 * The bytes of an object, and its metadata. Reading stops at the bound, whatever S3 says about the size.
 * @returns null for the body of an object that is larger: what came of it is dropped, and the connection with it
 * @throws NotFound, NotPermitted, StoreUnavailable
 */
export async function readObject(
  bucket: Bucket,
  key: string,
  maxBytes: number,
): Promise<{ body: Buffer | null; metadata: Record<string, string> }> {
  try {
    const answer = await openObject(bucket, key)
    const metadata = answer.Metadata ?? {}
    const chunks: Buffer[] = []
    let bytes = 0
    for await (const chunk of answer.Body as AsyncIterable<Buffer>) {
      bytes += chunk.length
      if (bytes > maxBytes) return { body: null, metadata }
      chunks.push(chunk)
    }
    return { body: Buffer.concat(chunks), metadata }
  } catch (cause) {
    if (cause instanceof ResetError) throw cause
    throw bucketError(bucket, 'read', key, cause)
  }
}

/** S3's answer as one of our errors: what failed, on which object, and what to do. */
export function bucketError(
  bucket: Pick<Bucket, 'name'>,
  action: string,
  key: string,
  cause: unknown,
): Error {
  const object = `s3://${bucket.name}/${key}`
  if (nameOf(cause) === 'NoSuchBucket') {
    return new StoreUnavailable(`The bucket ${bucket.name} does not exist. Create it or correct its name`, {
      cause,
    })
  }
  if (isMissing(cause)) return new NotFound(`${object} does not exist`, { cause })
  if (isArchived(cause)) {
    return new NotPermitted(
      `${object} is archived (Glacier, or an archive tier), so S3 does not ${action} it: ${messageOf(cause)}. Restore it from the archive, and what lies beside it, then start again`,
      { cause },
    )
  }
  if (statusOf(cause) === 403) {
    return new NotPermitted(
      `S3 refuses to ${action} ${object}: ${messageOf(cause)}. Grant it to the function's role`,
      { cause },
    )
  }
  if (statusOf(cause) === 400 && action === 'read') {
    return new NotPermitted(
      `S3 does not give ${object} as it is asked for: ${messageOf(cause)}. Look at how the object is encrypted: with a key of the customer (SSE-C) it is none of ours`,
      { cause },
    )
  }
  return new StoreUnavailable(
    `S3 failed to ${action} ${object}: ${messageOf(cause)}. Start again when it is back`,
    { cause },
  )
}

/** True when the object (or, for a HEAD, its bucket) does not exist. */
export function isMissing(error: unknown): boolean {
  return statusOf(error) === 404
}

/** True when the object lies where S3 gives it out hours after it was asked for. */
export function isArchived(error: unknown): boolean {
  return nameOf(error) === 'InvalidObjectState'
}

/** True when a conditional write found the key taken, or lost a race for it. */
export function isPreconditionFailure(error: unknown): boolean {
  return (
    statusOf(error) === 412 || (statusOf(error) === 409 && nameOf(error) === 'ConditionalRequestConflict')
  )
}

function statusOf(error: unknown): number | undefined {
  return error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined
}

function nameOf(error: unknown): string | undefined {
  return error instanceof Error ? error.name : undefined
}
