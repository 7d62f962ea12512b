import type { Connection } from '../../postgres/connection.ts'
import { copyOnce } from '../copy/copy-in.ts'

/** A range of a part: where its frame is, and which of the part's rows it holds. */
export type StoredRange = { frame: number; start: number; length: number; row: number; rows: number }

/** Of COPY's binary format: signature, flags and the length of a header; and what ends the rows. */
const head = Buffer.concat([Buffer.from('PGCOPY\n\u00ff\r\n\0', 'latin1'), Buffer.alloc(8)])
const end = Buffer.from([0xff, 0xff])
const [rowBytes, hashBytes] = [22, 8]
const rowsTogether = 40_000

/**
 * Puts the hashes of these ranges' rows into a TEMP table, each with the number of its frame, and where the frames lie into
 * another.
 * @param hashes of all rows of the part, as its object of ranges has them: numbers of 64 bits, as COPY wants them
 */
export async function copyHashes(
  connection: Connection,
  into: { stored: string; frames: string },
  { part, ranges, hashes }: { part: number; ranges: readonly StoredRange[]; hashes: Buffer },
): Promise<void> {
  if (ranges.length === 0) return
  await connection.query(
    `INSERT INTO ${into.frames} SELECT frame, $1, start, length FROM unnest($2::int4[], $3::int8[], $4::int8[]) AS f (frame, start, length)`,
    [
      part,
      ranges.map(({ frame }) => frame),
      ranges.map(({ start }) => start),
      ranges.map(({ length }) => length),
    ],
  )
  await copyOnce(connection, `COPY ${into.stored} FROM STDIN (FORMAT binary)`, piecesOf(ranges, hashes))
}

/** Made as they are sent: all together they are three times as large as the hashes. */
function* piecesOf(ranges: readonly StoredRange[], hashes: Buffer): Generator<Buffer> {
  yield head
  for (const { frame, row, rows } of ranges)
    for (let from = row; from < row + rows; from += rowsTogether) {
      const to = Math.min(from + rowsTogether, row + rows)
      yield rowsOf(frame, hashes.subarray(from * hashBytes, to * hashBytes))
    }
  yield end
}

/** Rows of two fields, each behind its length: the hash, and the number of the frame. */
function rowsOf(frame: number, hashes: Buffer): Buffer {
  const count = hashes.length / hashBytes
  const rows = Buffer.alloc(count * rowBytes)
  for (let row = 0, at = 0; row < count; row++, at += rowBytes) {
    rows.writeInt16BE(2, at)
    rows.writeInt32BE(hashBytes, at + 2)
    hashes.copy(rows, at + 6, row * hashBytes, (row + 1) * hashBytes)
    rows.writeInt32BE(4, at + 14)
    rows.writeInt32BE(frame, at + 18)
  }
  return rows
}
