import { createHash } from 'node:crypto'
import { PassThrough, Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { constants, createZstdCompress, createZstdDecompress } from 'node:zlib'
import { GetObjectCommand } from '@aws-sdk/client-s3'
import { Upload } from '@aws-sdk/lib-storage'
import { BackupDamaged, messageOf, ReadBackMismatch } from '../errors.ts'
import { exists } from './exists.ts'
import { isPreconditionFailure, type Storage, storageError } from './storage.ts'

/** One object of a backup as it was written: its size in bytes and the SHA-256 of its (compressed) bytes, in hex. */
export type Written = { key: string; bytes: number; sha256: string }

/**
 * Compresses `source` with zstd into one new object, never over an existing one, reads the object back and compares.
 * Memory: one chunk of the source plus three upload parts of 5 MiB, whatever the size.
 * An empty source writes nothing and gives null.
 * @param keys gives the key for try 1, 2, …: the next is tried when one is taken (a repeated step finds the first's parts)
 * @throws ReadBackMismatch when the object that S3 holds is not what was sent
 */
export async function writePart(
  storage: Storage,
  keys: (copy: number) => string,
  source: () => AsyncIterable<Buffer>,
): Promise<Written | null> {
  for (let copy = 1; ; copy++) {
    const key = keys(copy)
    if (await exists(storage, key)) continue
    const chunks = source()[Symbol.asyncIterator]()
    const first = await chunks.next()
    if (first.done) return null
    const sent = await uploadCompressed(storage, key, { first: first.value, rest: chunks })
    if (sent === 'taken') continue
    const held = await digestOf(storage, key)
    if (held.sha256 !== sent.sha256 || held.bytes !== sent.bytes) {
      throw new ReadBackMismatch(
        `s3://${storage.bucket}/${key} was read back as ${held.bytes} bytes (SHA-256 ${held.sha256}), but ${sent.bytes} bytes (SHA-256 ${sent.sha256}) were sent. Nothing was wiped; start again`,
      )
    }
    return { key, ...sent }
  }
}

/**
 * The decompressed bytes of a part as they stream in, some of them before the last byte is checked: what is made of them
 * counts only when it ended without an error.
 * @throws BackupDamaged when the bytes do not have the digest; without one, nothing is compared
 */
export async function* readPartChunks(
  storage: Storage,
  key: string,
  sha256?: string,
): AsyncGenerator<Buffer> {
  const hash = createHash('sha256')
  const plain = createZstdDecompress({ chunkSize: 256 * 1024 })
  const body = await open(storage, key)
  let lost: Error | undefined
  body.on('data', (chunk: Buffer) => hash.update(chunk)).on('error', (error: Error) => (lost = error))
  pipeline(body, plain).catch((error: Error) => plain.destroy(error))
  try {
    yield* plain as AsyncIterable<Buffer>
  } catch (cause) {
    if (isConnectionLoss(lost)) throw storageError(storage, 'read', key, lost)
    throw new BackupDamaged(
      `s3://${storage.bucket}/${key} cannot be read: ${messageOf(cause)}. Use another backup`,
      { cause },
    )
  }
  const found = hash.digest('hex')
  if (sha256 === undefined || found === sha256) return
  throw new BackupDamaged(
    `s3://${storage.bucket}/${key} has the SHA-256 ${found}, but the manifest says ${sha256}. Use another backup`,
  )
}

/** Whether a body ended because the connection broke. The SDK reports a wrong checksum the same way: that is damage. */
function isConnectionLoss(error: Error | undefined): error is Error {
  return error !== undefined && !error.message.startsWith('Checksum mismatch')
}

/** The lines of a part, without their line ends; split at byte 0x0A only (U+2028 is no line end). */
export async function* readPartLines(storage: Storage, key: string, sha256?: string): AsyncGenerator<Buffer> {
  let rest: Buffer[] = []
  for await (const chunk of readPartChunks(storage, key, sha256)) {
    let start = 0
    for (let end = chunk.indexOf(0x0a); end !== -1; end = chunk.indexOf(0x0a, start)) {
      yield rest.length === 0
        ? chunk.subarray(start, end)
        : Buffer.concat([...rest, chunk.subarray(start, end)])
      rest = []
      start = end + 1
    }
    if (start < chunk.length) rest.push(chunk.subarray(start))
  }
  if (rest.length > 0) yield Buffer.concat(rest)
}

/** Size and SHA-256 of an object's bytes as S3 holds them. */
export async function digestOf(storage: Storage, key: string): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256')
  let bytes = 0
  const body: AsyncIterable<Buffer> = await open(storage, key)
  try {
    for await (const chunk of body) {
      hash.update(chunk)
      bytes += chunk.length
    }
  } catch (cause) {
    throw storageError(storage, 'read', key, cause)
  }
  return { bytes, sha256: hash.digest('hex') }
}

async function uploadCompressed(
  storage: Storage,
  key: string,
  { first, rest }: { first: Buffer; rest: AsyncIterator<Buffer> },
): Promise<{ bytes: number; sha256: string } | 'taken'> {
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
    client: storage.s3,
    params: {
      Bucket: storage.bucket,
      Key: key,
      Body: body,
      ContentType: 'application/zstd',
      IfNoneMatch: '*',
    },
    partSize: 5 * 2 ** 20,
    queueSize: 2,
  })
  const zstd = createZstdCompress({
    params: { [constants.ZSTD_c_compressionLevel]: 1 },
    chunkSize: 256 * 1024, // the default of 16 KiB costs a callback and an allocation each
  })
  // Either side ends the other one: only the one that failed first can say why.
  const failures: unknown[] = []
  const [produced, uploaded] = await Promise.allSettled([
    pipeline(Readable.from(goingOn(first, rest, failures)), zstd, count, body),
    upload.done().finally(() => body.destroy()), // else the pipeline would wait for a reader that is gone
  ])
  if (failures.length > 0) throw failures[0]
  if (uploaded.status === 'rejected') {
    if (isPreconditionFailure(uploaded.reason)) return 'taken'
    throw storageError(storage, 'write', key, uploaded.reason)
  }
  if (produced.status === 'rejected') throw produced.reason
  return { bytes, sha256: hash.digest('hex') }
}

/** The chunks of a source that was begun already; an error of the source itself, not of its reader, is noted. */
async function* goingOn(
  first: Buffer,
  rest: AsyncIterator<Buffer>,
  failures: unknown[],
): AsyncGenerator<Buffer> {
  try {
    yield first
    for (;;) {
      const next = await rest.next().catch((error: unknown) => {
        failures.push(error)
        throw error
      })
      if (next.done) return
      yield next.value
    }
  } finally {
    await rest.return?.()
  }
}

async function open(storage: Storage, key: string): Promise<Readable> {
  try {
    const answer = await storage.s3.send(new GetObjectCommand({ Bucket: storage.bucket, Key: key }))
    return answer.Body as Readable
  } catch (cause) {
    throw storageError(storage, 'read', key, cause)
  }
}
