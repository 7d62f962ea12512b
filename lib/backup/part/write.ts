import type { Transform } from 'node:stream'
import { PutObjectCommand } from '@aws-sdk/client-s3'
import { type Bucket, bucketError, exists, isPreconditionFailure } from '../../s3/bucket.ts'
import { codecOf, codecOfNew } from '../codec/codec.ts'
import { measure, type Packed, type PlainSize, written } from './pack.ts'
import { proveWritten, uploadNew, withFirst } from './upload.ts'

/**
 * One object of a backup as it was written: its size in bytes and the SHA-256 of its (compressed) bytes, in hex; `plain`
 * and `longest`: the bytes before compression, and those of the longest line.
 */
export type Written = { key: string; bytes: number; sha256: string; plain: number; longest: number }

/**
 * Compresses `source` into one new object, never over an existing one, reads the object back and compares.
 * Memory: one chunk of the source plus three upload parts of 5 MiB, whatever the size.
 * An empty source writes nothing and gives null.
 * @param source gives chunks whose memory it may use again when the next is asked for
 * @param keys gives the key for try 1, 2, …: the next is tried when one is taken (a repeated step finds the first's parts)
 * @param signal ends the requests that write; absent: what is written when the step is over is as good
 * @throws ReadBackMismatch when the object that S3 holds is not what was sent
 * @see docs/decisions.md#a-repeated-step-writes-beside-the-first-ones-parts
 */
export async function writePart(
  bucket: Bucket,
  keys: (copy: number) => string,
  source: () => AsyncIterable<Buffer>,
  signal?: AbortSignal,
): Promise<Written | null> {
  for (let copy = 1; ; copy++) {
    const key = keys(copy)
    if (await exists(bucket, key)) continue
    const chunks = source()[Symbol.asyncIterator]()
    const first = await chunks.next()
    if (first.done) return null
    const sent = await uploadCompressed(bucket, key, withFirst(first.value, chunks), signal)
    if (sent === 'taken') continue
    await proveWritten(bucket, key, sent)
    return { key, ...sent }
  }
}

/**
 * Writes a part that is compressed already, as writePart does.
 * @param keys gives the key for try 1, 2, …, which has to end as those of the packer's codec do
 * @throws ReadBackMismatch when the object that S3 holds is not what was sent
 */
export async function writePacked(
  bucket: Bucket,
  keys: (copy: number) => string,
  { body, ...sent }: Packed,
): Promise<Written> {
  for (let copy = 1; ; copy++) {
    const key = keys(copy)
    if ((await exists(bucket, key)) || (await putOnce(bucket, key, body)) === 'taken') continue
    await proveWritten(bucket, key, sent)
    return { key, ...sent }
  }
}

async function putOnce(bucket: Bucket, key: string, body: Buffer): Promise<'taken' | undefined> {
  const { contentType } = codecOfNew
  const target = { Bucket: bucket.name, Key: key, ContentType: contentType, IfNoneMatch: '*' }
  try {
    await bucket.s3.send(new PutObjectCommand({ ...target, Body: body }))
    return undefined
  } catch (cause) {
    if (isPreconditionFailure(cause)) return 'taken'
    throw bucketError(bucket, 'write', key, cause)
  }
}

async function uploadCompressed(
  bucket: Bucket,
  key: string,
  chunks: AsyncIterable<Buffer>,
  signal: AbortSignal | undefined,
): Promise<Omit<Written, 'key'> | 'taken'> {
  const { compress, contentType } = codecOf(key)
  const packer = compress()
  const size = { plain: 0, longest: 0, line: 0 }
  const feed = () => pack(packer, chunks, size)
  const sent = await uploadNew(bucket, { key, contentType }, packer, feed, signal)
  if (sent === 'taken') return sent
  const { plain, longest } = size
  return { ...sent, plain, longest }
}

/** Ends early when nobody reads any more. */
async function pack(packer: Transform, chunks: AsyncIterable<Buffer>, size: PlainSize): Promise<void> {
  try {
    for await (const chunk of chunks) {
      measure(size, chunk)
      await written(packer, chunk)
      if (packer.destroyed) return
    }
    packer.end()
  } catch (error) {
    packer.destroy(error as Error)
    throw error
  }
}
