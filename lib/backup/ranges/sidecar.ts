import { BackupDamaged } from '../../errors.ts'
import { type Bucket, openObject } from '../../s3/bucket.ts'
import { rangesKeyOf } from '../layout.ts'
import { storedBytes } from '../part/stored.ts'
import { addFingerprints } from '../sections/fingerprint.ts'
import { type Ranged, sum } from '../sections/section.ts'
import { sumOfHashes } from './hashes.ts'
import type { Range } from './range.ts'

/** The ranges of a part and the hashes of its rows, big-endian int8s in the order of its lines: those of a range behind those of the one before it. */
export type Sidecar = { ranges: Range[]; hashes: Buffer }

/** Bytes: of a range (rows and length as int8s, the fingerprint as an int16), and of a row's hash. */
export const [rangeBytes, hashBytes] = [32, 8]

/**
 * No part has more: so many ranges would be 4 GiB of a table, fifty times what a part has, and so many rows more than an
 * invocation reads. A verify reads sixteen sidecars at a time, of backups that anybody may have made.
 * @see docs/decisions.md#what-is-read-whole-has-bounds
 */
export const sidecarBounds = { ranges: 2 ** 15, rows: 2 ** 26 }

/**
 * What a sidecar begins with; the hashes follow as they are.
 * @see docs/decisions.md#each-range-of-a-part-is-a-frame-and-a-sidecar-says-where-it-begins
 */
export function encodeRanges(ranges: readonly Range[]): Buffer {
  const bytes = Buffer.alloc(rangeBytes * ranges.length)
  for (const [index, { rows, length, fingerprint }] of ranges.entries()) {
    const [at, sum] = [rangeBytes * index, BigInt(fingerprint)]
    bytes.writeBigUInt64BE(BigInt(rows), at)
    bytes.writeBigUInt64BE(BigInt(length), at + 8)
    bytes.writeBigInt64BE(sum >> 64n, at + 16)
    bytes.writeBigUInt64BE(BigInt.asUintN(64, sum), at + 24)
  }
  return bytes
}

/**
 * Memory: the hashes, eight bytes for each row of the part.
 * @throws BackupDamaged unless it is what the manifest says, and says of the part what the manifest does
 * @throws NotFound, NotPermitted, StoreUnavailable
 */
export async function readSidecar(bucket: Bucket, part: Ranged): Promise<Sidecar> {
  let hashes: Buffer | undefined
  let filled = 0
  const ranges = await walkSidecar(bucket, part, (bytes) => {
    hashes ??= Buffer.allocUnsafeSlow(hashBytes * part.rows) // at the first: of a part that says too much nothing has come
    filled += bytes.copy(hashes, filled)
  })
  return { ranges, hashes: hashes ?? Buffer.alloc(0) }
}

/** The ranges alone, for which all of it is read and compared. Memory: 32 bytes a range. @throws as readSidecar does */
export async function readRangesOf(bucket: Bucket, part: Ranged): Promise<Range[]> {
  return await walkSidecar(bucket, part, () => {})
}

async function walkSidecar(bucket: Bucket, part: Ranged, taken: (hashes: Buffer) => void): Promise<Range[]> {
  const key = rangesKeyOf(part.key)
  const refuse = (problem: string): never => {
    throw new BackupDamaged(`s3://${bucket.name}/${key} ${problem}. Use another backup`)
  }
  if (part.ranges.count > sidecarBounds.ranges || part.rows > sidecarBounds.rows)
    refuse('is said to hold more than the ranges of a part may')
  const head = rangeBytes * part.ranges.count
  const { Body: body } = await openObject(bucket, key)
  const walk = new HashWalk()
  let ranges: Range[] | undefined
  let begun: Buffer[] = []
  let rest: Buffer = Buffer.alloc(0)
  try {
    for await (const chunk of storedBytes({ bucket, key, body }, part.ranges)) {
      if (ranges === undefined) {
        begun.push(chunk)
        if (sum(begun.map(({ length }) => length)) < head) continue
        rest = Buffer.concat(begun)
        begun = []
        ranges = decodeRanges(rest.subarray(0, head))
        const problem = problemOf(part, ranges)
        if (problem !== undefined) refuse(problem)
        rest = rest.subarray(head)
      } else rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
      const whole = rest.length - (rest.length % hashBytes)
      if (whole === 0) continue
      taken(rest.subarray(0, whole))
      if (!walk.agrees(ranges, rest.subarray(0, whole))) refuse('holds hashes that do not add up')
      rest = rest.subarray(whole)
    }
  } finally {
    body.destroy()
  }
  if (ranges === undefined || rest.length > 0 || !walk.isAtEnd(ranges)) return refuse('ends too early')
  return ranges
}

function decodeRanges(bytes: Buffer): Range[] {
  return Array.from({ length: bytes.length / rangeBytes }, (_, index) => {
    const at = rangeBytes * index
    const fingerprint = (bytes.readBigInt64BE(at + 16) << 64n) | bytes.readBigUInt64BE(at + 24)
    return {
      rows: Number(bytes.readBigUInt64BE(at)),
      length: Number(bytes.readBigUInt64BE(at + 8)),
      fingerprint: fingerprint.toString(),
    }
  })
}

function problemOf(part: Ranged, ranges: readonly Range[]): string | undefined {
  if (sum(ranges.map(({ rows }) => rows)) !== part.rows)
    return 'says another number of rows than the manifest'
  if (sum(ranges.map(({ length }) => length)) !== part.bytes) return 'says another size than the manifest'
  if (addFingerprints(ranges.map(({ fingerprint }) => fingerprint)) !== part.fingerprint)
    return 'says another fingerprint than the manifest'
  if (ranges.some(({ rows, length }) => (rows === 0) !== (length === 0)))
    return 'names a range that has either rows or bytes, and not both'
  if (ranges.some(({ rows, fingerprint }) => rows === 0 && fingerprint !== '0'))
    return 'names a range without rows that has a fingerprint'
  return undefined
}

/** Adds up hashes as they come, and compares them range by range. */
class HashWalk {
  #range = 0
  #rows = 0
  #sum = 0n

  /** Whether the hashes so far are those of their ranges. */
  agrees(ranges: readonly Range[], hashes: Buffer): boolean {
    for (let at = 0; at < hashes.length; ) {
      this.#passEmpty(ranges)
      const range = ranges[this.#range]
      if (range === undefined) return false
      const rows = Math.min(range.rows - this.#rows, (hashes.length - at) / hashBytes)
      const end = at + rows * hashBytes
      this.#sum += sumOfHashes(hashes.subarray(at, end))
      this.#rows += rows
      at = end
      if (this.#rows < range.rows) return true
      if (this.#sum.toString() !== range.fingerprint) return false
      this.#range++
      this.#rows = 0
      this.#sum = 0n
    }
    return true
  }

  isAtEnd(ranges: readonly Range[]): boolean {
    this.#passEmpty(ranges)
    return this.#range === ranges.length
  }

  #passEmpty(ranges: readonly Range[]): void {
    while (ranges[this.#range]?.rows === 0) this.#range++
  }
}
