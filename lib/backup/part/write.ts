import { createHash, type Hash } from 'node:crypto'
import { Readable, type Transform } from 'node:stream'
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
 * @param source gives chunks whose memory it may use again when the next is asked for
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
    const sent = await uploadCompressed(bucket, key, withFirst(first.value, chunks))
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
  chunks: AsyncIterable<Buffer>,
): Promise<Omit<Written, 'key'> | 'taken'> {
  const codec = codecOf(key)
  const packer = codec.compress()
  packer.on('error', () => {}) // whoever writes or reads is told, but the last of them may be gone
  const digest = { sha256: createHash('sha256'), bytes: 0 }
  const body = Readable.from(digested(packer, digest))
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
  const size = { plain: 0, longest: 0, line: 0 }
  // Either side ends the other one: only the one that failed first can say why.
  const [compressed, uploaded] = await Promise.allSettled([
    compress(packer, chunks, size),
    upload.done().finally(() => {
      body.destroy()
      packer.destroy()
    }),
  ])
  if (compressed.status === 'rejected') throw compressed.reason
  if (uploaded.status === 'rejected') {
    if (isPreconditionFailure(uploaded.reason)) return 'taken'
    throw bucketError(bucket, 'write', key, uploaded.reason)
  }
  const { plain, longest } = size
  return { bytes: digest.bytes, sha256: digest.sha256.digest('hex'), plain, longest }
}

/** Ends early when nobody reads any more. */
async function compress(packer: Transform, chunks: AsyncIterable<Buffer>, size: Size): Promise<void> {
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

/** Waits until a chunk is compressed, after which its memory may be used for the next, or until nothing is any more. */
function written(packer: Transform, chunk: Buffer): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      packer.off('close', done)
      resolve()
    }
    packer.once('close', done)
    packer.write(chunk, done)
  })
}

async function* digested(
  chunks: AsyncIterable<Buffer>,
  digest: { sha256: Hash; bytes: number },
): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) {
    digest.sha256.update(chunk)
    digest.bytes += chunk.length
    yield chunk
  }
}

/** The chunks of a source that was begun already. */
async function* withFirst(first: Buffer, rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  try {
    yield first
    for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value
  } finally {
    await rest.return?.()
  }
}

type Size = { plain: number; longest: number; line: number }

/** Adds a chunk to the size of what is written. A line may go on over several chunks. */
function measure(size: Size, chunk: Buffer): void {
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
