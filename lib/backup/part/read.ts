import { createHash } from 'node:crypto'
import { ResetError } from '../../errors.ts'
import { type Bucket, bucketError, openObject } from '../../s3/bucket.ts'
import { codecOf } from '../codec/codec.ts'
import { TooMuch } from '../documents/json.ts'
import { type ExpectedBytes, storedBytes, unreadable } from './stored.ts'

/** What the manifest says of a part: no more is read of it than that. */
export type Expected = ExpectedBytes & { plain?: number | undefined; longest?: number | undefined }

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
 * @param ended is told the bytes of each frame as stored, once what it decompresses to was taken
 * @throws BackupDamaged when the bytes do not have the digest, or there are more of them than expected; without a digest,
 *   nothing is compared
 * @throws StoreUnavailable when the connection breaks
 * @see docs/decisions.md#a-connection-that-breaks-is-no-damage
 */
export async function* readPartChunks(
  bucket: Bucket,
  key: string,
  expected: Expected = {},
  ended: (bytes: number) => void = () => {},
): AsyncGenerator<Buffer> {
  const { decompress } = codecOf(key)
  const { Body: body } = await openObject(bucket, key)
  try {
    yield* bounded(decompress(storedBytes({ bucket, key, body }, expected), ended), expected)
  } catch (cause) {
    throw cause instanceof ResetError ? cause : unreadable(bucket, key, cause)
  } finally {
    body.destroy()
  }
}

/** Passes on what decompresses, until it is more than it was before it was compressed, or a line does not end. */
export async function* bounded(chunks: AsyncIterable<Buffer>, expected: Expected): AsyncGenerator<Buffer> {
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

/** The lines of a part, without their line ends; split at byte 0x0A only (U+2028 is no line end). */
export async function* readPartLines(
  bucket: Bucket,
  key: string,
  expected: Expected = {},
): AsyncGenerator<Buffer> {
  for await (const lines of readPartLinesTogether(bucket, key, expected)) yield* lines
}

/** The same, those together that came together: to wait for each line costs more than most lines do. */
export async function* readPartLinesTogether(
  bucket: Bucket,
  key: string,
  expected: Expected = {},
): AsyncGenerator<Buffer[]> {
  let rest: Buffer[] = []
  for await (const chunk of readPartChunks(bucket, key, expected)) {
    const lines: Buffer[] = []
    let start = 0
    for (let end = chunk.indexOf(0x0a); end !== -1; end = chunk.indexOf(0x0a, start)) {
      const line = chunk.subarray(start, end)
      lines.push(rest.length === 0 ? line : Buffer.concat([...rest, line]))
      rest = []
      start = end + 1
    }
    if (start < chunk.length) rest.push(chunk.subarray(start))
    yield lines
  }
  if (rest.length > 0) yield [Buffer.concat(rest)]
}

/** Size and SHA-256 of an object's bytes as S3 holds them. */
export async function digestOfObject(
  bucket: Bucket,
  key: string,
): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256')
  let bytes = 0
  const { Body } = await openObject(bucket, key)
  try {
    for await (const chunk of Body as AsyncIterable<Buffer>) {
      hash.update(chunk)
      bytes += chunk.length
    }
  } catch (cause) {
    throw bucketError(bucket, 'read', key, cause)
  }
  return { bytes, sha256: hash.digest('hex') }
}
