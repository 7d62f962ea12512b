import type { PartPiece, RangedPart } from '../../lib/backup/ranges/range.ts'
import type { WrittenRanged } from '../../lib/backup/ranges/write.ts'
import { addFingerprints } from '../../lib/backup/sections/fingerprint.ts'

/** A row's line, with its line end, and its hash: any number of 64 bits will do where no Postgres looks. */
export type HashedLine = { line: Buffer; hash: bigint }

export const none = { rows: 0, fingerprint: '0', hashes: Buffer.alloc(0) }

export function endOf(rows: readonly HashedLine[]) {
  const hashes = Buffer.alloc(8 * rows.length)
  for (const [index, { hash }] of rows.entries()) hashes.writeBigInt64BE(hash, 8 * index)
  return { rows: rows.length, fingerprint: addFingerprints(rows.map(({ hash }) => hash.toString())), hashes }
}

/** What an export gives of ranges: its bytes are others as soon as the next are asked for. */
export async function* piecesOf(
  ranges: readonly (readonly HashedLine[])[],
  slice = 100,
): AsyncGenerator<PartPiece> {
  for (const rows of ranges) {
    const lines = Buffer.concat(rows.map(({ line }) => line))
    for (let at = 0; at < lines.length; at += slice) {
      const chunk = Buffer.from(lines.subarray(at, at + slice))
      yield { lines: chunk }
      chunk.fill(0)
    }
    const end = endOf(rows)
    yield { end }
    end.hashes.fill(0)
  }
}

/** The part as a manifest names it. */
export function manifestPart(written: WrittenRanged, ranges: readonly (readonly HashedLine[])[]): RangedPart {
  const { rows, fingerprint } = endOf(ranges.flat())
  return { shard: 0, pages: { from: 0, to: null }, rows, fingerprint, ...written }
}
