import { S3ServiceException } from '@aws-sdk/client-s3'
import { ResetError, StoreUnavailable } from '../../errors.ts'
import { type Bucket, openObject } from '../../s3/bucket.ts'
import { codecOf } from '../codec/codec.ts'
import { bounded } from '../part/read.ts'
import { storedBytes, unreadable } from '../part/stored.ts'
import type { RangedPart } from './range.ts'

/** Where a frame lies in its part, in bytes. */
export type FrameAt = { offset: number; length: number }

/**
 * The lines of some ranges of a part, in the order in which they are asked for; of those that lie near each other in one
 * request. The whole object's digest is not known from that: whoever takes the rows proves them by their fingerprints.
 * Memory: some chunks, and a frame of at most 4 MiB.
 * @throws BackupDamaged when what lies there is no frame, or not as long; NotFound, NotPermitted, StoreUnavailable
 */
export async function* readFrames(
  bucket: Bucket,
  part: RangedPart,
  wanted: readonly FrameAt[],
): AsyncGenerator<Buffer> {
  try {
    yield* bounded(framesOf(bucket, part, wanted), part)
  } catch (cause) {
    throw cause instanceof ResetError ? cause : unreadable(bucket, part.key, cause)
  }
}

/**
 * The same of frames that a restore puts back. The part is read to its end, for its digest is that of the whole: hashes of rows show
 * damage, but whoever may write to the bucket can read the seed in the manifest, and make rows that have them.
 * @param wanted in the order of the part
 * @throws BackupDamaged when the part does not have the manifest's digest, which is known at the end; and as readFrames does
 * @see docs/decisions.md#a-restore-touches-the-rows-that-differ
 */
export async function* readProvedFrames(
  bucket: Bucket,
  part: RangedPart,
  wanted: readonly FrameAt[],
): AsyncGenerator<Buffer> {
  const { decompress } = codecOf(part.key)
  try {
    yield* bounded(decompress(passed(readStored(bucket, part), wanted)), part)
  } catch (cause) {
    throw cause instanceof ResetError ? cause : unreadable(bucket, part.key, cause)
  }
}

/**
 * The bytes of a part, or of its sidecar, as they are stored; what is made of them counts only when it ended without an error.
 * @throws BackupDamaged when they do not have the manifest's digest, which is known at the end; and as readFrames does
 */
export async function* readStored(
  bucket: Bucket,
  { key, ...expected }: Pick<RangedPart, 'key' | 'bytes' | 'sha256'>,
): AsyncGenerator<Buffer> {
  const { Body: body } = await openObject(bucket, key)
  try {
    yield* storedBytes({ bucket, key, body }, expected)
  } finally {
    body.destroy()
  }
}

async function* framesOf(
  bucket: Bucket,
  { key }: RangedPart,
  wanted: readonly FrameAt[],
): AsyncGenerator<Buffer> {
  const { decompress } = codecOf(key)
  for (const { start, end, frames } of stretchesOf(wanted)) {
    const { Body: body } = await openObject(bucket, key, [start, end - 1]).catch((cause: unknown) => {
      throw isBehindEnd(cause) ? unreadable(bucket, key, cause) : cause
    })
    try {
      const stored = storedBytes({ bucket, key, body }, { bytes: end - start })
      let left = frames.reduce((sum, { length }) => sum + length, 0)
      yield* decompress(passed(stored, frames, start), (bytes) => (left -= bytes))
      if (left > 0) throw new Error(`it ends before byte ${end}`)
    } finally {
      body.destroy()
    }
  }
}

/** What lies there, of bytes that are all read. @param first which byte of the part they begin with */
async function* passed(
  stored: AsyncIterable<Buffer>,
  wanted: readonly FrameAt[],
  first = 0,
): AsyncGenerator<Buffer> {
  let [start, next] = [first, 0]
  for await (const chunk of stored) {
    const end = start + chunk.length
    for (; next < wanted.length; next++) {
      const { offset, length } = wanted[next] as FrameAt
      const [from, to] = [Math.max(offset, start), Math.min(offset + length, end)]
      if (from < to) yield chunk.subarray(from - start, to - start)
      if (offset + length > end) break
    }
    start = end
  }
}

/** A stretch of a part that is asked for at once, from `start` to before `end`, and what of it is wanted. */
type Stretch = { start: number; end: number; frames: FrameAt[] }

/** Bytes between two frames that are read for nothing: another request is answered as late as they have come. */
const gapMax = 2 ** 20

/** A range without rows has no bytes. */
function stretchesOf(wanted: readonly FrameAt[]): Stretch[] {
  const all: Stretch[] = []
  for (const frame of wanted) {
    const { offset: start, length } = frame
    if (length === 0) continue
    const last = all.at(-1)
    if (last === undefined || start < last.end || start > last.end + gapMax)
      all.push({ start, end: start + length, frames: [frame] })
    else {
      last.end = start + length
      last.frames.push(frame)
    }
  }
  return all
}

/** The object is shorter than the manifest says. */
function isBehindEnd(error: unknown): boolean {
  const cause = error instanceof StoreUnavailable ? error.cause : undefined
  return cause instanceof S3ServiceException && cause.$metadata.httpStatusCode === 416
}
