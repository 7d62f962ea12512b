import { createHash, type Hash } from 'node:crypto'
import { type Duplex, Readable } from 'node:stream'
import { AbortMultipartUploadCommand, type S3Client } from '@aws-sdk/client-s3'
import { Upload } from '@aws-sdk/lib-storage'
import { ReadBackMismatch } from '../../errors.ts'
import { type Bucket, bucketError, isPreconditionFailure } from '../../s3/bucket.ts'
import { digestOfObject } from './read.ts'

/** What was sent, or is held: size in bytes and SHA-256 in hex. */
export type Digest = { bytes: number; sha256: string }

/**
 * Sends what comes out of `through` as one new object, never over an existing one. Memory: three parts of 5 MiB, whatever
 * the size.
 * @param feed writes into it, and ends it; it ends early when nobody reads any more
 * @param signal ends the requests, so that none is carried out later
 * @returns `taken` when there is an object of that name
 */
export async function uploadNew(
  bucket: Bucket,
  { key, contentType }: { key: string; contentType: string },
  through: Duplex,
  feed: () => Promise<void>,
  signal?: AbortSignal,
): Promise<Digest | 'taken'> {
  through.on('error', () => {}) // whoever writes or reads is told, but the last of them may be gone
  const digest = { sha256: createHash('sha256'), bytes: 0 }
  const body = Readable.from(digested(through, digest))
  const upload = new Upload({
    client: signal === undefined ? bucket.s3 : ending(bucket.s3, signal),
    params: {
      Bucket: bucket.name,
      Key: key,
      Body: body,
      ContentType: contentType,
      IfNoneMatch: '*',
    },
    partSize: 5 * 2 ** 20,
    queueSize: 2,
  })
  // Either side ends the other one: only the one that failed first can say why.
  const [fed, uploaded] = await Promise.allSettled([
    feed(),
    upload.done().finally(() => {
      body.destroy()
      through.destroy()
    }),
  ])
  signal?.throwIfAborted() // then neither side is the reason
  if (fed.status === 'rejected') throw fed.reason
  if (uploaded.status === 'rejected') {
    if (isPreconditionFailure(uploaded.reason)) return 'taken'
    throw bucketError(bucket, 'write', key, uploaded.reason)
  }
  return { bytes: digest.bytes, sha256: digest.sha256.digest('hex') }
}

/**
 * The client, with each request ended by the signal: an Upload that is aborted leaves its own under way. What takes the parts
 * of one that did not come to its end away is sent all the same.
 */
function ending(s3: S3Client, signal: AbortSignal): S3Client {
  const send = (command: Parameters<S3Client['send']>[0]) =>
    s3.send(command, command instanceof AbortMultipartUploadCommand ? {} : { abortSignal: signal })
  return Object.assign(Object.create(s3) as S3Client, { send })
}

/** Reads the object back. @throws ReadBackMismatch when it is not what was sent */
export async function proveWritten(bucket: Bucket, key: string, sent: Digest): Promise<void> {
  const held = await digestOfObject(bucket, key)
  if (held.sha256 === sent.sha256 && held.bytes === sent.bytes) return
  throw new ReadBackMismatch(
    `s3://${bucket.name}/${key} was read back as ${held.bytes} bytes (SHA-256 ${held.sha256}), but ${sent.bytes} bytes (SHA-256 ${sent.sha256}) were sent. Nothing was wiped; start again`,
  )
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

/** What a source that was begun already gives. */
export async function* withFirst<Item>(first: Item, rest: AsyncIterator<Item>): AsyncGenerator<Item> {
  try {
    yield first
    for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value
  } finally {
    await rest.return?.()
  }
}
