import fc from 'fast-check'
import { expect, it } from 'vitest'
import { pagesInRange } from '../../lib/backup/ranges/range.ts'
import { type Pages, pagesOfRanges, piecesOf } from '../../lib/database/export/pages.ts'

const stretches = fc.array(fc.tuple(fc.nat(40), fc.nat(200)), { maxLength: 6 }).map((drawn) => {
  let at = 0
  return drawn.map(([gap, length]): Pages => {
    const from = at + gap
    at = from + length
    return { from, to: at }
  })
})
const sizes = fc.array(fc.constantFrom(1, 2, 4, 8, 16, 32, 64, 128), { minLength: 1 })

it('pages are read in order, each once, and every range ends once, whatever is read at a time', () => {
  fc.assert(
    fc.property(stretches, sizes, (asked, pages) => {
      const ranges = asked.flatMap(pagesOfRanges)
      const [read, ended]: [number[], number[]] = [[], []]
      let at = { range: 0, page: 0 }
      for (let turn = 0; ; turn++) {
        const size = pages[turn % pages.length] as number
        const { pieces, end } = piecesOf(ranges, at, size)
        if (pieces.length === 0) break
        expect(pieces.reduce((sum, { from, to }) => sum + to - from, 0)).toBeLessThanOrEqual(size)
        for (const { from, to, endsRange } of pieces) {
          expect(Math.floor(from / pagesInRange)).toBe(Math.floor((to - 1) / pagesInRange))
          for (let page = from; page < to; page++) read.push(page)
          if (endsRange) ended.push(to)
        }
        at = end
      }
      expect(read).toEqual(
        asked.flatMap(({ from, to }) => Array.from({ length: to - from }, (_, page) => from + page)),
      )
      expect(ended).toEqual(ranges.map(({ to }) => to))
    }),
  )
})
