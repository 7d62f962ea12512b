import { createHash } from 'node:crypto'
import { PassThrough, Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Upload } from '@aws-sdk/lib-storage'
import { ReadBackMismatch } from '../../errors.ts'
import { type Bucket, bucketError, exists, isPreconditionFailure } from '../../s3/bucket.ts'
import { codecOf } from '../codec.ts'
import { digestOfObject } from './read.ts'

/**
 * One object of a backup as it was written: its size in bytes and the SHA-256 of its (compressed) bytes, in hex; `plain`
 * and `longest`: the bytes before compression, and those of the longest line.
 */
export type Written = { key: string; bytes: number; sha256: string; plain: number; longest: number }

/**
 * Compresses `source` into one new object, never over an existing one, reads the object back and compares.
 * Memory: one chunk of the source plus three upload parts of 5 MiB, whatever the size.
 * An empty source writes nothing and gives null.
 * @param keys gives the key for try 1, 2, …: the next is tried when one is taken (a repeated step finds the first's parts)
 * @throws ReadBackMismatch when the object that S3 holds is not what was sent
 * @see docs/decisions.md#a-repeated-step-writes-beside-the-first-ones-parts
 */
export async function writePart(
  bucket: Bucket,
  keys: (copy: number) => string,
  source: () => AsyncIterable<Buffer>,
): Promise<Written | null> {
  for (let copy = 1; ; copy++) {
    const key = keys(copy)
    if (await exists(bucket, key)) continue
    const chunks = source()[Symbol.asyncIterator]()
    const first = await chunks.next()
    if (first.done) return null
    const sent = await uploadCompressed(bucket, key, { first: first.value, rest: chunks })
    if (sent === 'taken') continue
    const held = await digestOfObject(bucket, key)
    if (held.sha256 !== sent.sha256 || held.bytes !== sent.bytes) {
      throw new ReadBackMismatch(
        `s3://${bucket.name}/${key} was read back as ${held.bytes} bytes (SHA-256 ${held.sha256}), but ${sent.bytes} bytes (SHA-256 ${sent.sha256}) were sent. Nothing was wiped; start again`,
      )
    }
    return { key, ...sent }
  }
}

async function uploadCompressed(
  bucket: Bucket,
  key: string,
  { first, rest }: { first: Buffer; rest: AsyncIterator<Buffer> },
): Promise<Omit<Written, 'key'> | 'taken'> {
  const codec = codecOf(key)
  const hash = createHash('sha256')
  let bytes = 0
  const count = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk)
      bytes += chunk.length
      done(null, chunk)
    },
  })
  const body = new PassThrough({ highWaterMark: 2 ** 20 })
  const upload = new Upload({
    client: bucket.s3,
    params: {
      Bucket: bucket.name,
      Key: key,
      Body: body,
      ContentType: codec.contentType,
      IfNoneMatch: '*',
    },
    partSize: 5 * 2 ** 20,
    queueSize: 2,
  })
  // Either side ends the other one: only the one that failed first can say why.
  const failures: unknown[] = []
  const size = { plain: 0, longest: 0, line: 0 }
  const [produced, uploaded] = await Promise.allSettled([
    pipeline(Readable.from(withFirst(first, rest, { failures, size })), codec.compress(), count, body),
    upload.done().finally(() => body.destroy()), // else the pipeline would wait for a reader that is gone
  ])
  if (failures.length > 0) throw failures[0]
  if (uploaded.status === 'rejected') {
    if (isPreconditionFailure(uploaded.reason)) return 'taken'
    throw bucketError(bucket, 'write', key, uploaded.reason)
  }
  if (produced.status === 'rejected') throw produced.reason
  const { plain, longest } = size
  return { bytes, sha256: hash.digest('hex'), plain, longest }
}

/** The chunks of a source that was begun already; an error of the source itself, not of its reader, is noted. */
async function* withFirst(
  first: Buffer,
  rest: AsyncIterator<Buffer>,
  { failures, size }: { failures: unknown[]; size: { plain: number; longest: number; line: number } },
): AsyncGenerator<Buffer> {
  try {
    measure(size, first)
    yield first
    for (;;) {
      const next = await rest.next().catch((error: unknown) => {
        failures.push(error)
        throw error
      })
      if (next.done) return
      measure(size, next.value)
      yield next.value
    }
  } finally {
    await rest.return?.()
  }
}

/** Adds a chunk to the size of what is written. A line may go on over several chunks. */
function measure(size: { plain: number; longest: number; line: number }, chunk: Buffer): void {
  size.plain += chunk.length
  let start = 0
  for (let end = chunk.indexOf(0x0a); end !== -1; end = chunk.indexOf(0x0a, start)) {
    size.longest = Math.max(size.longest, size.line + end + 1 - start)
    size.line = 0
    start = end + 1
  }
  size.line += chunk.length - start
  size.longest = Math.max(size.longest, size.line)
}
