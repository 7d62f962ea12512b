import { createHash } from 'node:crypto'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { GetObjectCommand } from '@aws-sdk/client-s3'
import { BackupDamaged, messageOf } from '../../errors.ts'
import { type Bucket, bucketError } from '../../s3/bucket.ts'
import { codecOf } from '../codec.ts'
import { TooMuch } from '../documents/json.ts'

/** What the manifest says of a part: no more is read of it than that. */
export type Expected = {
  sha256?: string | null | undefined
  bytes?: number | undefined
  plain?: number | undefined
  longest?: number | undefined
}

/**
 * Backups of before `plain` and `longest` say neither. A part holds some 64 MiB of a table, which JSON makes larger, and rows
 * that are all the same compress a thousandfold; a row's line is rarely above some megabytes, but a file in a column may be.
 */
const [oldPlain, oldRatio] = [2 ** 30, 1000]
const [oldLine, oldLineRatio] = [64 * 2 ** 20, 64]

/**
 * The decompressed bytes of a part as they stream in, some of them before the last byte is checked: what is made of them
 * counts only when it ended without an error.
 * Memory: some chunks, whatever the object decompresses to: reading stops where the manifest's own counts end.
 * @throws BackupDamaged when the bytes do not have the digest, or there are more of them than expected; without a digest,
 *   nothing is compared
 * @throws StoreUnavailable when the connection breaks
 * @see docs/decisions.md#a-connection-that-breaks-is-no-damage
 */
export async function* readPartChunks(
  bucket: Bucket,
  key: string,
  expected: Expected = {},
): AsyncGenerator<Buffer> {
  const { sha256 } = expected
  const hash = createHash('sha256')
  const plain = codecOf(key).decompress()
  const body = await open(bucket, key)
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
    if (cause instanceof TooMuch) throw unreadable(bucket, key, cause)
    if (isConnectionLoss(lost)) throw bucketError(bucket, 'read', key, lost)
    throw unreadable(bucket, key, cause)
  }
  const found = hash.digest('hex')
  if (sha256 == null || found === sha256) return
  throw new BackupDamaged(
    `s3://${bucket.name}/${key} has the SHA-256 ${found}, but the manifest says ${sha256}. Use another backup`,
  )
}

function unreadable(bucket: Bucket, key: string, cause: unknown): BackupDamaged {
  return new BackupDamaged(
    `s3://${bucket.name}/${key} cannot be read: ${messageOf(cause)}. Use another backup`,
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
  bucket: Bucket,
  key: string,
  expected: Expected = {},
): AsyncGenerator<Buffer> {
  let rest: Buffer[] = []
  for await (const chunk of readPartChunks(bucket, key, expected)) {
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
export async function digestOfObject(
  bucket: Bucket,
  key: string,
): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256')
  let bytes = 0
  const body: AsyncIterable<Buffer> = await open(bucket, key)
  try {
    for await (const chunk of body) {
      hash.update(chunk)
      bytes += chunk.length
    }
  } catch (cause) {
    throw bucketError(bucket, 'read', key, cause)
  }
  return { bytes, sha256: hash.digest('hex') }
}

async function open(bucket: Bucket, key: string): Promise<Readable> {
  try {
    const answer = await bucket.s3.send(new GetObjectCommand({ Bucket: bucket.name, Key: key }))
    return answer.Body as Readable
  } catch (cause) {
    throw bucketError(bucket, 'read', key, cause)
  }
}
