import { createHash } from 'node:crypto'
import { PassThrough, Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { constants, createZstdCompress, createZstdDecompress } from 'node:zlib'
import { GetObjectCommand } from '@aws-sdk/client-s3'
import { Upload } from '@aws-sdk/lib-storage'
import { BackupDamaged, messageOf, ReadBackMismatch } from '../errors.ts'
import { exists, isPreconditionFailure, type Storage, storageError } from '../s3/bucket.ts'
import { TooMuch } from './documents/json.ts'

/**
 * One object of a backup as it was written: its size in bytes and the SHA-256 of its (compressed) bytes, in hex; `plain`
 * and `longest`: the bytes before compression, and those of the longest line.
 */
export type Written = { key: string; bytes: number; sha256: string; plain: number; longest: number }

/** What the manifest says of a part: no more is read of it than that. */
export type Expected = {
  sha256?: string | null | undefined
  bytes?: number | undefined
  plain?: number | undefined
  longest?: number | undefined
}

/**
 * What a frame may ask for as its window, as a power of two: our compression takes 2^19, zstd would allow 2^27 to each of
 * sixteen objects that are read at a time.
 */
const windowLog = 21

/**
 * Backups of before `plain` and `longest` say neither. A part holds some 64 MiB of a table, which JSON makes larger, and rows
 * that are all the same compress a thousandfold; a row's line is rarely above some megabytes, but a file in a column may be.
 */
const [oldPlain, oldRatio] = [2 ** 30, 1000]
const [oldLine, oldLineRatio] = [64 * 2 ** 20, 64]

/**
 * Compresses `source` with zstd into one new object, never over an existing one, reads the object back and compares.
 * Memory: one chunk of the source plus three upload parts of 5 MiB, whatever the size.
 * An empty source writes nothing and gives null.
 * @param keys gives the key for try 1, 2, …: the next is tried when one is taken (a repeated step finds the first's parts)
 * @throws ReadBackMismatch when the object that S3 holds is not what was sent
 * @see docs/decisions.md#a-repeated-step-writes-beside-the-first-ones-parts
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
 * Memory: some chunks, whatever the object decompresses to: reading stops where the manifest's own counts end.
 * @throws BackupDamaged when the bytes do not have the digest, or there are more of them than expected; without a digest,
 *   nothing is compared
 */
export async function* readPartChunks(
  storage: Storage,
  key: string,
  expected: Expected = {},
): AsyncGenerator<Buffer> {
  const { sha256 } = expected
  const hash = createHash('sha256')
  const plain = createZstdDecompress({
    chunkSize: 256 * 1024,
    params: { [constants.ZSTD_d_windowLogMax]: windowLog },
  })
  const body = await open(storage, key)
  let lost: Error | undefined
  let stored = 0
  body
    .on('data', (chunk: Buffer) => {
      hash.update(chunk)
      stored += chunk.length
      if (stored > (expected.bytes ?? Number.POSITIVE_INFINITY))
        body.destroy(new TooMuch(`it has more than the ${expected.bytes} bytes that were written`))
    })
    .on('error', (error: Error) => (lost = error))
  pipeline(body, plain).catch((error: Error) => plain.destroy(error))
  try {
    yield* bounded(plain as AsyncIterable<Buffer>, expected)
  } catch (cause) {
    if (cause instanceof TooMuch) throw unreadable(storage, key, cause)
    if (isConnectionLoss(lost)) throw storageError(storage, 'read', key, lost)
    throw unreadable(storage, key, cause)
  }
  const found = hash.digest('hex')
  if (sha256 == null || found === sha256) return
  throw new BackupDamaged(
    `s3://${storage.bucket}/${key} has the SHA-256 ${found}, but the manifest says ${sha256}. Use another backup`,
  )
}

function unreadable(storage: Storage, key: string, cause: unknown): BackupDamaged {
  return new BackupDamaged(
    `s3://${storage.bucket}/${key} cannot be read: ${messageOf(cause)}. Use another backup`,
    { cause },
  )
}

/** Passes on what decompresses, until it is more than it was before it was compressed, or a line does not end. */
async function* bounded(chunks: AsyncIterable<Buffer>, expected: Expected): AsyncGenerator<Buffer> {
  const { bytes = 0, plain = Math.max(oldPlain, oldRatio * bytes) } = expected
  const { longest = Math.max(oldLine, oldLineRatio * bytes) } = expected
  let [total, line] = [0, 0]
  for await (const chunk of chunks) {
    total += chunk.length
    if (total > plain) throw new TooMuch(`it decompresses to more than the ${plain} bytes that it may hold`)
    let start = 0
    for (let end = chunk.indexOf(0x0a); end !== -1; end = chunk.indexOf(0x0a, start)) {
      refuseLine(line + end + 1 - start)
      line = 0
      start = end + 1
    }
    line += chunk.length - start
    refuseLine(line)
    yield chunk
  }

  function refuseLine(length: number): void {
    if (length > longest) throw new TooMuch(`a line is longer than the ${longest} bytes that one may have`)
  }
}

/** Whether a body ended because the connection broke. The SDK reports a wrong checksum the same way: that is damage. */
function isConnectionLoss(error: Error | undefined): error is Error {
  return error !== undefined && !error.message.startsWith('Checksum mismatch')
}

/** The lines of a part, without their line ends; split at byte 0x0A only (U+2028 is no line end). */
export async function* readPartLines(
  storage: Storage,
  key: string,
  expected: Expected = {},
): AsyncGenerator<Buffer> {
  let rest: Buffer[] = []
  for await (const chunk of readPartChunks(storage, key, expected)) {
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
): Promise<Omit<Written, 'key'> | 'taken'> {
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
  const size = { plain: 0, longest: 0, line: 0 }
  const [produced, uploaded] = await Promise.allSettled([
    pipeline(Readable.from(goingOn(first, rest, { failures, size })), zstd, count, body),
    upload.done().finally(() => body.destroy()), // else the pipeline would wait for a reader that is gone
  ])
  if (failures.length > 0) throw failures[0]
  if (uploaded.status === 'rejected') {
    if (isPreconditionFailure(uploaded.reason)) return 'taken'
    throw storageError(storage, 'write', key, uploaded.reason)
  }
  if (produced.status === 'rejected') throw produced.reason
  const { plain, longest } = size
  return { bytes, sha256: hash.digest('hex'), plain, longest }
}

/** The chunks of a source that was begun already; an error of the source itself, not of its reader, is noted. */
async function* goingOn(
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

async function open(storage: Storage, key: string): Promise<Readable> {
  try {
    const answer = await storage.s3.send(new GetObjectCommand({ Bucket: storage.bucket, Key: key }))
    return answer.Body as Readable
  } catch (cause) {
    throw storageError(storage, 'read', key, cause)
  }
}
