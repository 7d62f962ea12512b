import { PassThrough } from 'node:stream'
import { type Bucket, exists } from '../../s3/bucket.ts'
import { codecOfNew } from '../codec/codec.ts'
import { rangesKeyOf } from '../layout.ts'
import { written } from '../part/pack.ts'
import { type Digest, proveWritten, uploadNew, withFirst } from '../part/upload.ts'
import type { Written } from '../part/write.ts'
import type { Ranges } from '../sections/database.ts'
import { FrameWriter } from './frame-writer.ts'
import { type PartPiece, pagesInRange } from './range.ts'
import { encodeRanges } from './sidecar.ts'

/** A part with ranges as it was written. `longest` is that of the lines that were compressed here, not of those taken. */
export type WrittenRanged = Written & { ranges: Ranges }

/**
 * Writes a part of which each range is a frame, and its sidecar beside it, as two new objects, never over existing ones; reads
 * both back and compares. Memory: as writePart, and of a range at most `wholeFrame` bytes; and the hashes, eight bytes a row.
 * A source without rows writes nothing and gives null.
 * @param keys gives the key for try 1, 2, …: the next is tried when that of the part or of its sidecar is taken
 * @throws ReadBackMismatch when an object that S3 holds is not what was sent
 * @throws BackupIncomplete when the pieces do not fit together; BackupDamaged when a frame that was taken is none
 * @see docs/decisions.md#a-repeated-step-writes-beside-the-first-ones-parts
 */
export async function writeRangedPart(
  bucket: Bucket,
  keys: (copy: number) => string,
  source: () => AsyncIterable<PartPiece>,
): Promise<WrittenRanged | null> {
  for (let copy = 1; ; copy++) {
    const key = keys(copy)
    if (await exists(bucket, key)) continue
    const writer = new FrameWriter()
    const pieces = source()[Symbol.asyncIterator]()
    const first = await firstBytes(pieces, writer)
    if (first === undefined) {
      writer.close()
      return null
    }
    const { contentType } = codecOfNew
    const part = await uploadNew(bucket, { key, contentType }, writer.stored, () =>
      feed(writer, withFirst(first, pieces)),
    )
    if (part === 'taken') continue
    const sidecar = await uploadSidecar(bucket, rangesKeyOf(key), writer)
    if (sidecar === 'taken') continue
    await Promise.all([proveWritten(bucket, key, part), proveWritten(bucket, rangesKeyOf(key), sidecar)])
    const { plain, longest } = writer.size
    const ranges = { pages: pagesInRange, count: writer.ranges.length, ...sidecar }
    return { key, ...part, plain, longest, ranges }
  }
}

/** The first piece that is anything of an object; undefined: none is. What comes before it is added. */
async function firstBytes(
  pieces: AsyncIterator<PartPiece>,
  writer: FrameWriter,
): Promise<PartPiece | undefined> {
  for (let next = await pieces.next(); !next.done; next = await pieces.next()) {
    if (!('end' in next.value)) return next.value
    await writer.add(next.value)
  }
  return undefined
}

/** Ends early when nobody reads any more. */
async function feed(writer: FrameWriter, pieces: AsyncIterable<PartPiece>): Promise<void> {
  try {
    for await (const piece of pieces) {
      await writer.add(piece)
      if (writer.stored.destroyed) return
    }
    writer.stored.end()
  } catch (error) {
    writer.stored.destroy(error as Error)
    throw error
  } finally {
    writer.close()
  }
}

async function uploadSidecar(
  bucket: Bucket,
  key: string,
  { ranges, hashes }: FrameWriter,
): Promise<Digest | 'taken'> {
  const sidecar = new PassThrough()
  return await uploadNew(bucket, { key, contentType: 'application/octet-stream' }, sidecar, async () => {
    await written(sidecar, encodeRanges(ranges))
    for (const bytes of hashes) await written(sidecar, bytes)
    sidecar.end()
  })
}
