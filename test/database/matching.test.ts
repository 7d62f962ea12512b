import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LiveRanges, sumOf } from '../../lib/database/difference/matching.ts'

const pages = 16
/** Ranges of a table; small numbers, so that some are the same. */
const ranges = fc
  .array(fc.record({ rows: fc.integer({ min: 0, max: 3 }), hash: fc.integer({ min: -3, max: 3 }) }), {
    maxLength: 30,
  })
  .map((all) => all.map(({ rows, hash }, range) => ({ range, rows, fingerprint: String(rows * hash) })))
  .map((all) => all.filter(({ rows }) => rows > 0))

type Ranges = { range: number; rows: number; fingerprint: string }[]
const counts = (all: readonly { rows: number; fingerprint: string }[]) => {
  const by = new Map<string, number>()
  for (const { rows, fingerprint } of all)
    by.set(`${rows} ${fingerprint}`, (by.get(`${rows} ${fingerprint}`) ?? 0) + 1)
  return by
}
const leftOf = (live: LiveRanges, all: Ranges) => {
  const runs = live.left()
  return all.filter(({ range }) =>
    runs.some(
      ({ from, to }) => range * pages >= from && (range + 1) * pages <= (to ?? Number.POSITIVE_INFINITY),
    ),
  )
}

describe('the ranges of a live table', () => {
  it('lose as many of each sum as the backup has, and no more', () => {
    fc.assert(
      fc.property(ranges, ranges, (now, then) => {
        const live = new LiveRanges(now, pages)
        const unmatched = then.filter((range) => !live.takeRange(range))
        const [had, has] = [counts(now), counts(then)]
        for (const [sum, number] of counts(leftOf(live, now)))
          expect(number).toBe((had.get(sum) ?? 0) - (has.get(sum) ?? 0))
        for (const [sum, number] of counts(unmatched))
          expect(number).toBe((has.get(sum) ?? 0) - (had.get(sum) ?? 0))
      }),
    )
  })

  it('lose a whole part where its pages hold the same sum, and nothing where they do not', () => {
    fc.assert(
      fc.property(ranges, fc.nat(30), fc.option(fc.nat(30)), (now, from, length) => {
        const end = length === null ? null : from + length + 1
        const within = now.filter(({ range }) => range >= from && (end === null || range < end))
        const live = new LiveRanges(now, pages)
        const part = { pages: { from: from * pages, to: end === null ? null : end * pages } }
        const { rows, fingerprint } = sumOf(within)
        expect(live.takePart({ ...part, rows: rows + 1, fingerprint })).toBe(false)
        expect(leftOf(live, now)).toEqual(now)
        expect(live.takePart({ ...part, rows, fingerprint })).toBe(true)
        expect(leftOf(live, now)).toEqual(now.filter((range) => !within.includes(range)))
      }),
    )
  })

  it('are not taken by a part that ends within one', () => {
    const live = new LiveRanges([{ range: 0, rows: 1, fingerprint: '5' }], pages)
    expect(live.takePart({ pages: { from: 0, to: 20 }, rows: 1, fingerprint: '5' })).toBe(false)
  })
})
