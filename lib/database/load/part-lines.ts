import { readPartChunks } from '../../backup/part/read.ts'
import { isRanged, type RangedPart } from '../../backup/ranges/range.ts'
import { type FrameAt, readFrames, readProvedFrames } from '../../backup/ranges/read-frames.ts'
import { readRangesOf } from '../../backup/ranges/sidecar.ts'
import type { TablePart } from '../../backup/sections/database.ts'
import type { Bucket } from '../../s3/bucket.ts'
import type { LoadablePart } from '../parts/load-batches.ts'

/**
 * The bytes of what is loaded of a part, and how many rows they hold; null: it is not known. Those of some ranges, which a
 * rehearsal loads, are not checked against a digest: Compare finds the fingerprint of their rows. What a restore loads is.
 * @throws BackupDamaged
 */
export async function linesOfPart(
  bucket: Bucket,
  { part, ranges, frames: given }: Omit<LoadablePart, 'table'> & { part: TablePart & { key: string } },
): Promise<{ rows: number | null; lines: AsyncIterable<Buffer> }> {
  if (given !== undefined && isRanged(part))
    return { rows: null, lines: readProvedFrames(bucket, part, given) }
  if (ranges === undefined || !isRanged(part))
    return { rows: part.rows, lines: readPartChunks(bucket, part.key, part) }
  const { rows, frames } = await framesOf(bucket, part, ranges)
  return { rows, lines: readFrames(bucket, part, frames) }
}

async function framesOf(
  bucket: Bucket,
  part: RangedPart,
  wanted: readonly (readonly [number, number])[],
): Promise<{ rows: number; frames: FrameAt[] }> {
  const frames: FrameAt[] = []
  let [rows, offset] = [0, 0]
  for (const [place, range] of (await readRangesOf(bucket, part)).entries()) {
    if (wanted.some(([from, to]) => from <= place && place < to)) {
      frames.push({ offset, length: range.length })
      rows += range.rows
    }
    offset += range.length
  }
  return { rows, frames }
}
