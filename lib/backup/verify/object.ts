import { createHash } from 'node:crypto'
import type { GetObjectCommandOutput } from '@aws-sdk/client-s3'
import { BackupDamaged, messageOf, NotFound, ResetError, StoreUnavailable } from '../../errors.ts'
import { type Bucket, bucketError, openObject } from '../../s3/bucket.ts'
import { lineBounds, parseJson } from '../documents/json.ts'
import { rangesKeyOf } from '../layout.ts'
import { digestOfObject, readPartChunks } from '../part/read.ts'
import type { Range } from '../ranges/range.ts'
import { readRangesOf } from '../ranges/sidecar.ts'
import type { CopiedFile } from '../sections/files.ts'
import type { Ranged } from '../sections/section.ts'
import type { Checked, ObjectProblem } from './findings.ts'

/** A compressed object of a backup, and how many rows, keys or files it holds. */
export type NamedPart = {
  key: string
  bytes: number
  sha256: string
  plain?: number | undefined
  longest?: number | undefined
  holds: { what: string; count: number }
  ranged?: Ranged | undefined
}

/** A connection that breaks says nothing about the object: it is read again, this often at most. */
const tries = 3

/**
 * Reads a part to its end: the stored bytes have the manifest's SHA-256, they decompress, and hold as much as they should.
 * Memory: some chunks, or for the cache a mebibyte of a line.
 * @param count reads the part and counts what it holds; it throws BackupDamaged at what it cannot understand
 * @throws StoreUnavailable, NotPermitted
 */
export async function checkPart(bucket: Bucket, part: NamedPart, count = countHeld): Promise<Checked> {
  return { problem: await problemOf(bucket, { part, count }, tries), bytes: part.bytes, byEtagOnly: false }
}

/**
 * Reads a copy of a file to its end and compares size and content. Its MD5 must be the ETag of the copy or of the source;
 * where neither is an MD5 (KMS, copies in parts), S3's ETag must still be the one it gave to the copy.
 * @throws StoreUnavailable, NotPermitted
 */
export async function checkFile(bucket: Bucket, key: string, copied: CopiedFile): Promise<Checked> {
  for (let left = tries; ; left--) {
    let bytes = 0
    try {
      const hash = createHash('md5')
      const answer = await openObject(bucket, key)
      for await (const chunk of answer.Body as AsyncIterable<Buffer>) {
        hash.update(chunk)
        bytes += chunk.length
      }
      const problem = sizeProblem(key, bytes, copied.size)
      if (problem !== null) return { problem, bytes, byEtagOnly: false }
      return { ...judge(key, answer, hash.digest('hex'), copied), bytes }
    } catch (cause) {
      const error = cause instanceof ResetError ? cause : bucketError(bucket, 'read', key, cause)
      if (error instanceof NotFound) return { problem: missing(key), bytes, byEtagOnly: false }
      if (left === 1 || !(error instanceof StoreUnavailable)) throw error
    }
  }
}

async function problemOf(
  bucket: Bucket,
  { part, count }: { part: NamedPart; count: typeof countHeld },
  left: number,
): Promise<ObjectProblem | null> {
  const { key, sha256, holds } = part
  try {
    const found = await count(bucket, part)
    if (found === holds.count) return null
    const detail = `it holds ${found} ${holds.what}, the manifest says ${holds.count}`
    return { key, problem: 'changed', detail }
  } catch (cause) {
    if (cause instanceof NotFound) return missing(key)
    if (cause instanceof StoreUnavailable && left > 1) return problemOf(bucket, { part, count }, left - 1)
    if (!(cause instanceof BackupDamaged)) throw cause
    const held = await digestOfObject(bucket, key)
    const detail = `its bytes have the SHA-256 ${held.sha256}, the manifest says ${sha256}`
    if (held.sha256 !== sha256)
      return sizeProblem(key, held.bytes, part.bytes) ?? { key, problem: 'changed', detail }
    // Its bytes are right, so it may have been the connection.
    if (left > 1) return problemOf(bucket, { part, count }, left - 1)
    return { key, problem: 'changed', detail: messageOf(cause) }
  }
}

/** What the size alone says; null: it is right. */
export function sizeProblem(key: string, found: number, expected: number): ObjectProblem | null {
  if (found === expected) return null
  const detail = `it has ${found} bytes, ${expected} were written`
  return { key, problem: found < expected ? 'truncated' : 'changed', detail }
}

export function missing(key: string): ObjectProblem {
  return { key, problem: 'missing', detail: 'there is no such object' }
}

function judge(
  key: string,
  answer: Pick<GetObjectCommandOutput, 'ETag' | keyof Encrypted>,
  md5: string,
  copied: CopiedFile,
): Omit<Checked, 'bytes'> {
  if (md5 === bare(copied.copyEtag) || md5 === bare(copied.etag)) return { problem: null, byEtagOnly: false }
  const isMd5 = /^[0-9a-f]{32}$/.test(bare(answer.ETag)) && !isEncryptedByKey(answer)
  if (bare(answer.ETag) === bare(copied.copyEtag) && !isMd5) return { problem: null, byEtagOnly: true }
  const detail = `its bytes have the MD5 ${md5} and its ETag is ${bare(answer.ETag)}; the copy's ETag was ${bare(copied.copyEtag)}`
  return { problem: { key, problem: 'changed', detail }, byEtagOnly: false }
}

type Encrypted = Pick<GetObjectCommandOutput, 'ServerSideEncryption' | 'SSECustomerAlgorithm'>

/** Then the ETag is not the MD5 of the content. */
function isEncryptedByKey({ ServerSideEncryption, SSECustomerAlgorithm }: Encrypted): boolean {
  return (ServerSideEncryption ?? '').startsWith('aws:kms') || SSECustomerAlgorithm !== undefined
}

function bare(etag: string | undefined): string {
  return (etag ?? '').replaceAll('"', '')
}

async function countHeld(bucket: Bucket, part: NamedPart): Promise<number> {
  const { key, holds } = part
  let count = 0
  if (holds.what === 'keys') return countKeys(bucket, part)
  if (holds.what === 'ranges' && part.ranged) return (await readRangesOf(bucket, part.ranged)).length
  const frames: RowsOfFrame[] = []
  let before = 0
  const note = (length: number) => {
    if (part.ranged && frames.push({ length, rows: count - before }) > part.ranged.ranges.count)
      throw new BackupDamaged(`its frames are not the ranges that ${rangesKeyOf(part.ranged.key)} names`)
    before = count
  }
  for await (const chunk of readPartChunks(bucket, key, part, note)) {
    for (let end = chunk.indexOf(0x0a); end !== -1; end = chunk.indexOf(0x0a, end + 1)) count++
  }
  if (part.ranged) await compareFrames(bucket, part.ranged, frames)
  return count
}

type RowsOfFrame = Pick<Range, 'length' | 'rows'>

/** Each range with rows is the frame that its sidecar says it is. What is wrong with the sidecar is found of that. */
async function compareFrames(bucket: Bucket, part: Ranged, frames: readonly RowsOfFrame[]): Promise<void> {
  const ranges = await readRangesOf(bucket, part).catch((cause: unknown) => {
    if (cause instanceof BackupDamaged || cause instanceof NotFound) return undefined
    throw cause
  })
  const said = ranges?.filter(({ rows }) => rows > 0)
  const differs = said?.findIndex(({ rows, length }, index) => {
    const frame = frames[index]
    return frame?.rows !== rows || frame.length !== length
  })
  if (said === undefined || (differs === -1 && said.length === frames.length)) return
  throw new BackupDamaged(`its frames are not the ranges that ${rangesKeyOf(part.key)} names`)
}

/** Of a line no more is held: a value may be of any size, and whether a key begins with it is said before it. */
const headBytes = 2 ** 20

async function countKeys(bucket: Bucket, part: NamedPart): Promise<number> {
  let [count, length] = [0, 0]
  let head: Buffer[] = []
  const take = (bytes: Buffer) => {
    if (length < headBytes) head.push(bytes.subarray(0, headBytes - length))
    length += bytes.length
  }
  const end = () => {
    const line = Buffer.concat(head)
    if (length > headBytes ? !/"part":(?!1\D)\d/.test(line.toString('latin1')) : beginsKey(part.key, line))
      count++
    head = []
    length = 0
  }
  for await (const chunk of readPartChunks(bucket, part.key, part)) {
    let start = 0
    for (let at = chunk.indexOf(0x0a); at !== -1; at = chunk.indexOf(0x0a, start)) {
      take(chunk.subarray(start, at))
      end()
      start = at + 1
    }
    take(chunk.subarray(start))
  }
  if (length > 0) end()
  return count
}

/** A large value continues on lines of its own, which are of the same key. */
function beginsKey(key: string, line: Buffer): boolean {
  try {
    const { part = 1 } = parseJson(line.toString(), lineBounds) as { part?: number }
    return part === 1
  } catch (cause) {
    throw new BackupDamaged(`${key} holds a line that is not JSON (${messageOf(cause)})`, { cause })
  }
}
