import type { Ranges, TablePart } from '../sections/database.ts'

/** A small stretch of a table's pages: its rows, the bytes of its frame (0: no rows, no frame), the sum of its rows' hashes. */
export type Range = { rows: number; length: number; fingerprint: string }

/**
 * Pages in each range of a new part, which begins at a multiple of them: 128 KiB of the table. With half of them the frames
 * would take a twentieth more bytes.
 */
export const pagesInRange = 16

/**
 * What a part with ranges is written of, in their order: the lines of a range, whole or a very long one in slices, and then
 * its end, with the hashes of the lines as int8s, in the order of the lines; or the frame of a range as another part has it.
 * A range without rows has an end, too. Bytes hold until the next piece is asked for, those of a frame that was taken for good.
 */
export type PartPiece =
  | { lines: Buffer }
  | { end: { rows: number; fingerprint: string; hashes: Buffer } }
  | { taken: Buffer; range: Range; hashes: Buffer }

/** A part that has rows, and beside it its ranges and the hashes of its rows. */
export type RangedPart = TablePart & { key: string; sha256: string; ranges: Ranges }

export function isRanged(part: TablePart): part is RangedPart {
  return part.key !== null && part.sha256 !== null && part.ranges !== undefined
}
