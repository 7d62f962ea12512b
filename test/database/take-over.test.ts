import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { pagesInRange, type Range } from '../../lib/backup/ranges/range.ts'
import type { TablePart } from '../../lib/backup/sections/database.ts'
import { addFingerprints } from '../../lib/backup/sections/fingerprint.ts'
import { compose, decide, type LiveRange } from '../../lib/database/base/decide.ts'
import type { Shard } from '../../lib/database/parts/shards.ts'

/** The rows of a range by their hashes; none: it is empty. */
type Rows = readonly bigint[]

const bytesOf = (rows: Rows) => rows.length * 100
const sumOf = (rows: Rows) => ({ rows: rows.length, fingerprint: addFingerprints(rows.map(String)) })
const pagesOf = (ranges: number) => ranges * pagesInRange

function shardAt(from: number, to: number | null, shard = 0): Shard {
  const pages = { from: pagesOf(from), to: to === null ? null : pagesOf(to) }
  return { name: 'app.t', schema: 'app', table: 't', columns: [], shard, pages, bytes: 1 }
}

function partAt(from: number, to: number | null, ranges: readonly Rows[], shard = 0): TablePart {
  const rows = ranges.flat()
  const { pages } = shardAt(from, to)
  if (rows.length === 0) return { shard, pages, ...sumOf(rows), key: null, bytes: 0, sha256: null }
  const sidecar = { pages: pagesInRange, count: ranges.length, bytes: 1, sha256: '0'.repeat(64) }
  return {
    shard,
    pages,
    ...sumOf(rows),
    key: 'k',
    bytes: bytesOf(rows),
    sha256: '0'.repeat(64),
    ranges: sidecar,
  }
}

const heldOf = (ranges: readonly Rows[]): Range[] =>
  ranges.map((rows) => ({ ...sumOf(rows), length: bytesOf(rows) }))

const liveOf = (from: number, ranges: readonly Rows[]): LiveRange[] =>
  ranges.flatMap((rows, at) => (rows.length === 0 ? [] : [{ range: from + at, ...sumOf(rows) }]))

function baseOf(parts: readonly TablePart[], isWhole = true) {
  const fingerprint = addFingerprints(parts.map((part) => part.fingerprint))
  return { rows: parts.reduce((sum, { rows }) => sum + rows, 0), fingerprint, isWhole, parts }
}

const first = [[1n, 2n], [3n], [4n, 5n]]
const second = [[6n], [], [7n, 8n]]

describe('what is taken over', () => {
  const shards = [shardAt(0, 3, 0), shardAt(3, null, 1)]
  const base = baseOf([partAt(0, 3, first, 0), partAt(3, null, second, 1)])
  const kinds = (live: readonly (readonly Rows[])[], from = base) => {
    const decided = decide(shards, from, [liveOf(0, live[0]!), liveOf(3, live[1]!)])
    return decided.kind === 'table' ? 'table' : decided.shards.map(({ kind }) => kind)
  }

  it('is each part of which count and fingerprint are as they were', () => {
    expect(kinds([first, second])).toEqual(['copy', 'copy'])
    expect(kinds([first, [[6n], [9n], [7n, 8n]]])).toEqual(['copy', 'compose'])
    expect(kinds([[[1n], [2n, 3n], [4n, 5n]], second]), 'the rows only lie elsewhere').toEqual([
      'copy',
      'copy',
    ])
  })

  it('is the whole table when its rows are the same, wherever they lie now', () => {
    expect(kinds([[...first, ...second], []])).toBe('table')
    expect(kinds([[], [[8n, 7n, 6n, 5n, 4n, 3n, 2n, 1n]]])).toBe('table')
    expect(kinds([[...first, ...second], []], { ...base, isWhole: false })).toEqual(['compose', 'export'])
    expect(kinds([[...first, ...second, [9n]], []])).toEqual(['compose', 'export'])
  })

  it('is nothing of rows that are as many, but others; nor of other pages', () => {
    expect(kinds([first, [[6n], [], [7n, 9n]]])).toEqual(['copy', 'compose'])
    const decided = decide([shardAt(0, 2, 0), shardAt(2, null, 1)], baseOf(base.parts), [
      liveOf(0, first),
      liveOf(2, [[9n]]),
    ])
    expect(decided.kind === 'shards' && decided.shards.map(({ kind }) => kind)).toEqual([
      'compose',
      'compose',
    ])
  })

  it('is an empty part without an object, when the shard is still empty', () => {
    const empty = baseOf([partAt(0, 3, first), partAt(3, null, [], 1)])
    expect(kinds([first, []], empty)).toEqual(['copy', 'copy'])
    expect(kinds([first, [[1n]]], empty)).toEqual(['copy', 'export'])
    expect(kinds([[], []], empty)).toEqual(['export', 'copy'])
  })

  it('has no parts put together of shards that begin within a range', () => {
    const pages = { from: 4, to: 8 }
    const one = { ...partAt(0, 1, [[1n]]), pages }
    const shard = { ...shardAt(0, 1), pages }
    const of = (live: LiveRange[]) => decide([shard], { ...baseOf([one]), isWhole: false }, [live])
    expect(of([{ range: 0, ...sumOf([1n]) }])).toMatchObject({ shards: [{ kind: 'copy' }] })
    expect(of([{ range: 0, ...sumOf([2n]) }])).toMatchObject({ shards: [{ kind: 'export' }] })
  })
})

describe('a part that is put together', () => {
  const shard = shardAt(0, null)
  const composed = (held: readonly Rows[], live: readonly Rows[], from = 0) =>
    compose(shardAt(from, null), partAt(0, null, held), {
      held: heldOf(held),
      live: liveOf(from, live),
      endPage: pagesOf(from + live.length),
    })?.stretches

  it('is made of ranges of the base, in its order, and of pages that are read anew', () => {
    const held = [[1n], [2n], [3n], [4n]]
    expect(composed(held, held)).toEqual([{ taken: { from: 0, to: 4 } }])
    expect(composed(held, [[1n], [9n], [3n], [4n], [5n]])).toEqual([
      { taken: { from: 0, to: 1 } },
      { pages: { from: 16, to: 32 } },
      { taken: { from: 2, to: 4 } },
      { pages: { from: 64, to: 80 } },
    ])
    expect(composed(held, [[9n], [], [1n], [], [2n]])).toEqual([
      { pages: { from: 0, to: 32 } },
      { taken: { from: 0, to: 1 } },
      { empty: 1 },
      { taken: { from: 1, to: 2 } },
    ])
    expect(composed([[1n], [2n], [3n], [4n], [5n]], [[5n], [1n], [2n], [3n]])).toEqual([
      { pages: { from: 0, to: 16 } },
      { taken: { from: 0, to: 3 } },
    ])
    expect(composed(held, [[3n], [4n]], 2)).toEqual([{ taken: { from: 2, to: 4 } }])
  })

  it('is none when less than an eighth of the part is the same', () => {
    const held = Array.from({ length: 8 }, (_, at) => [BigInt(at)])
    const others = held.map((_, at) => [BigInt(at + 100)])
    expect(composed(held, others)).toBeUndefined()
    expect(composed(held, others.with(3, [3n]))).toHaveLength(3)
    expect(composed([...held, [8n]], others.with(3, [3n]))).toBeUndefined()
  })

  it('has no frames that are too large to be held', () => {
    const [fat, thin] = heldOf([[1n], [2n]])
    const held = [
      { ...fat!, length: 5 * 2 ** 20 },
      { ...thin!, length: 2 ** 20 },
    ]
    const made = compose(shard, partAt(0, null, [[1n], [2n]]), {
      held,
      live: liveOf(0, [[1n], [2n]]),
      endPage: pagesOf(2),
    })
    expect(made?.stretches).toEqual([{ pages: { from: 0, to: 16 } }, { taken: { from: 1, to: 2 } }])
  })

  it('ends where the shard does', () => {
    const made = compose(shard, partAt(0, null, [[1n]]), {
      held: heldOf([[1n]]),
      live: liveOf(0, [[1n], [2n]]),
      endPage: pagesInRange + 3,
    })
    expect(made?.stretches.at(-1)).toEqual({ pages: { from: 16, to: 19 } })
  })

  /** Few different rows, so that ranges repeat; some are empty. */
  const ranges = fc.array(fc.array(fc.bigInt({ min: 0n, max: 4n }), { maxLength: 2 }), { maxLength: 30 })

  it('has exactly the rows that are there now, covers every page once, and keeps to the order of the base', () => {
    fc.assert(
      fc.property(ranges, ranges, fc.nat(29), (held, live, kept) => {
        const now = [...held.slice(0, kept), ...live]
        const made = compose(shard, partAt(0, null, held), {
          held: heldOf(held),
          live: liveOf(0, now),
          endPage: pagesOf(now.length),
        })
        if (made === null) return
        let [page, place] = [0, 0]
        const rows: bigint[] = []
        for (const stretch of made.stretches) {
          if ('pages' in stretch) {
            expect(stretch.pages.from).toBe(page)
            rows.push(...now.slice(page / pagesInRange, stretch.pages.to / pagesInRange).flat())
            page = stretch.pages.to
          } else if ('taken' in stretch) {
            expect(stretch.taken.from).toBeGreaterThanOrEqual(place)
            place = stretch.taken.to
            const taken = held.slice(stretch.taken.from, stretch.taken.to)
            for (const [at, range] of taken.entries())
              expect(sumOf(range)).toEqual(sumOf(now[page / pagesInRange + at] ?? []))
            rows.push(...taken.flat())
            page += pagesOf(taken.length)
          } else {
            expect(now.slice(page / pagesInRange, page / pagesInRange + stretch.empty).flat()).toEqual([])
            page += pagesOf(stretch.empty)
          }
        }
        expect(page).toBe(pagesOf(now.length))
        expect(sumOf(rows)).toEqual(sumOf(now.flat()))
        expect(made.bytes).toBeLessThanOrEqual(bytesOf(held.flat()))
      }),
      { numRuns: 1_000 },
    )
  })

  it('takes all that did not move', () => {
    fc.assert(
      fc.property(fc.array(fc.bigInt(), { minLength: 1, maxLength: 40 }), fc.nat(39), (hashes, changed) => {
        const held = [...new Set(hashes)].map((hash) => [hash])
        const at = changed % held.length
        const made = compose(shard, partAt(0, null, held), {
          held: heldOf(held),
          live: liveOf(0, held.with(at, [held[at]![0]! + 2n ** 70n])),
          endPage: pagesOf(held.length),
        })
        expect(made?.rows ?? 0).toBe(held.length === 1 ? 0 : held.length - 1)
      }),
      { numRuns: 300 },
    )
  })
})
