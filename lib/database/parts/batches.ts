/** More batches than this would outgrow a state's payload; each batch takes more then. */
const maxBatches = 1000

/**
 * Fills batches of about `batchBytes`, in order, at most 1,000; nothing gives none. A table that fits into one is not divided: rows
 * that only lie elsewhere than in another backup, or of which few differ, are found in all of it alone.
 * @param tables what each consists of
 */
export function fillBatches<Piece>(
  tables: Iterable<readonly Piece[]>,
  batchBytes: number,
  bytesOf: (piece: Piece) => number,
): Piece[][] {
  const sized = [...tables].map((pieces) => ({ pieces, bytes: sum(pieces.map(bytesOf)) }))
  const target = Math.max(batchBytes, sum(sized.map(({ bytes }) => bytes)) / (maxBatches / 2))
  const batches: Piece[][] = []
  let filled = Number.POSITIVE_INFINITY
  for (const { pieces, bytes } of sized) {
    if (bytes <= target && filled + bytes > target) filled = Number.POSITIVE_INFINITY
    for (const piece of pieces) {
      if (filled + bytesOf(piece) > target) {
        batches.push([])
        filled = 0
      }
      batches.at(-1)?.push(piece)
      filled += bytesOf(piece)
    }
  }
  return batches
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0)
}
