import { pagesInRange } from '../../backup/ranges/range.ts'

/** Pages of a table, from `from` (inclusive) to `to` (exclusive). */
export type Pages = { from: number; to: number }

/** The pages of each range of a stretch. One that does not begin or end where a range of the table does has a piece of that. */
export function pagesOfRanges({ from, to }: Pages): Pages[] {
  const first = Math.floor(from / pagesInRange)
  const count = to > from ? Math.ceil(to / pagesInRange) - first : 0
  return Array.from({ length: count }, (_, at) => ({
    from: Math.max(from, (first + at) * pagesInRange),
    to: Math.min(to, (first + at + 1) * pagesInRange),
  }))
}

/** Where reading has come to: `page` pages of that range are read. */
type Place = { range: number; page: number }

/**
 * What is read next: about as many pages, as whole ranges, or as a piece of one. `end` is the place behind them.
 */
export function piecesOf(
  ranges: readonly Pages[],
  { range, page }: Place,
  pages: number,
): { pieces: (Pages & { endsRange: boolean })[]; end: Place } {
  const pieces = ranges.slice(range, range + Math.max(1, Math.floor(pages / pagesInRange)))
  const [first] = pieces
  if (first === undefined) return { pieces: [], end: { range, page } }
  const from = first.from + page
  const to = Math.min(first.to, from + pages)
  if (to < first.to) return { pieces: [{ from, to, endsRange: false }], end: { range, page: page + pages } }
  const whole = [{ from, to }, ...pieces.slice(1)].map((piece) => ({ ...piece, endsRange: true }))
  return { pieces: whole, end: { range: range + pieces.length, page: 0 } }
}
