import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { pagesInRange } from '../../lib/backup/ranges/range.ts'
import type { BackedUpTable } from '../../lib/backup/sections/database.ts'
import { loadBatches } from '../../lib/database/parts/load-batches.ts'
import { batchesOf, shardsOf } from '../../lib/database/parts/shards.ts'
import { table } from './made-catalog.ts'

const mebibyte = 2 ** 20
const sizes = fc
  .record({ pages: fc.nat(500_000), toast: fc.nat(2 ** 34) })
  .map(({ pages, toast }) => table('app.t', { pages, bytes: pages * 8192 + toast }))

describe('shards', () => {
  it('cover every page of a table exactly once, and whatever comes behind the last', () => {
    fc.assert(
      fc.property(sizes, (one) => {
        const shards = shardsOf(one)
        expect(shards.map(({ shard }) => shard)).toEqual(shards.map((_, index) => index))
        expect(shards.map(({ pages }) => pages.from)).toEqual([
          0,
          ...shards.slice(0, -1).map(({ pages }) => pages.to),
        ])
        expect(shards.at(-1)?.pages.to).toBeNull()
      }),
      { numRuns: 300 },
    )
  })

  it('begin where ranges do, or divide one where its pages have more than a shard', () => {
    fc.assert(
      fc.property(sizes, (one) => {
        const [, second] = shardsOf(one)
        if (second === undefined) return
        const step = second.pages.from
        expect(step < pagesInRange ? pagesInRange % step : step % pagesInRange).toBe(0)
      }),
      { numRuns: 300 },
    )
  })

  it('are cut where the base was, and the last one on when it has grown by half', () => {
    const ofPages = (pages: number) => table('app.t', { pages, bytes: pages * 8192 })
    const base = shardsOf(ofPages(20_000))
    const cuts = (pages: number, of = base) => shardsOf(ofPages(pages), of).map((shard) => shard.pages.from)
    expect(cuts(20_000)).toEqual([0, 8192, 16_384])
    expect(cuts(16_384 + 12_288)).toEqual([0, 8192, 16_384])
    expect(cuts(16_384 + 12_289)).toEqual([0, 8192, 16_384, 24_576])
    expect(cuts(8_192)).toEqual([0, 8192, 16_384])
    expect(cuts(8_191), 'it has lost half of its pages').toEqual([0])
    expect(shardsOf(ofPages(9_000), base).map(({ bytes }) => bytes / 8192)).toEqual([8192, 808, 0])
    const heavier = table('app.t', { pages: 20_000, bytes: 20_000 * 8192 * 5 })
    expect(shardsOf(heavier, base)).toEqual(shardsOf(heavier))
  })

  it('are about 64 MiB, unless a single page is more; an empty table is one', () => {
    fc.assert(
      fc.property(sizes, (one) => {
        const perPage = one.bytes / Math.max(1, one.pages)
        const largest = Math.max(...shardsOf(one).map(({ bytes }) => bytes))
        expect(largest).toBeLessThanOrEqual(Math.max(64 * mebibyte, perPage) + 1)
      }),
      { numRuns: 300 },
    )
    expect(shardsOf(table('app.t', { pages: 0, bytes: 0 }))).toHaveLength(1)
    expect(shardsOf(table('app.t', { pages: 131_072, bytes: 2 ** 30 }))).toHaveLength(16)
  })
})

describe('batches', () => {
  const shards = fc.array(sizes, { maxLength: 12 }).map((tables) => tables.flatMap((one) => shardsOf(one)))

  it('hold every shard once, in order, none is empty, and there are at most a thousand', () => {
    fc.assert(
      fc.property(shards, fc.integer({ min: 1, max: 2 ** 34 }), (all, batchBytes) => {
        const batches = batchesOf(all, batchBytes)
        expect(batches.flat()).toEqual(all)
        expect(batches.length).toBeLessThanOrEqual(1001)
        expect(batches.every((batch) => batch.length > 0)).toBe(true)
      }),
      { numRuns: 100 },
    )
  })

  it('are one when everything fits into it', () => {
    const all = shardsOf(table('app.t', { pages: 131_072, bytes: 2 ** 30 }))
    expect(batchesOf(all, 2 ** 30 + 100)).toHaveLength(1)
    expect(batchesOf(all, 2 ** 29)).toHaveLength(2)
    expect(batchesOf([], 1)).toEqual([])
  })
})

describe('a table in batches', () => {
  it('is not divided while it fits into one', () => {
    const small = (name: string, mebibytes: number) =>
      shardsOf(table(name, { pages: mebibytes * 128, bytes: mebibytes * mebibyte }))
    const all = [
      ...small('app.a', 600),
      ...small('app.b', 700),
      ...small('app.c', 300),
      ...small('app.d', 3000),
    ]
    const batches = batchesOf(all, 1024 * mebibyte)
    expect(batches.flat()).toEqual(all)
    expect(batches.map((batch) => [...new Set(batch.map(({ name }) => name))])).toEqual([
      ['app.a'],
      ['app.b', 'app.c'],
      ...Array.from({ length: 3 }, () => ['app.d']),
    ])
  })
})

describe('batches of parts that are loaded', () => {
  const tableOf = (name: string, sizes: number[]) => {
    const parts = sizes.map((bytes, shard) => ({ shard, bytes }))
    return { name, parts } as unknown as BackedUpTable
  }
  const sizesOf = (tables: BackedUpTable[]) =>
    loadBatches(tables).map((batch) => batch.map(({ part }) => part.bytes / mebibyte))

  it('hold every part once, in order, and no more than an invocation loads, unless one part alone does', () => {
    const [a, b] = [tableOf('a', [200, 56, 1]), tableOf('b', [300, 0, 255])]
    for (const { parts } of [a, b]) for (const part of parts) part.bytes *= mebibyte
    expect(sizesOf([a, b])).toEqual([[200, 56], [1], [300], [0, 255]])
    expect(loadBatches([a, b]).flat()).toEqual(
      [a, b].flatMap((table) => table.parts.map((part) => ({ table, part }))),
    )
    expect(loadBatches([])).toEqual([])
  })

  it('do not divide a table that fits into one: rows of it that differ are exchanged only where all of it is looked at', () => {
    const tables = [
      tableOf('a', [100, 100]),
      tableOf('b', [100, 100]),
      tableOf('c', [50]),
      tableOf('d', [200, 100]),
    ]
    for (const { parts } of tables) for (const part of parts) part.bytes *= mebibyte
    expect(sizesOf(tables)).toEqual([[100, 100], [100, 100, 50], [200], [100]])
  })

  it('are at most a thousand, however large the backup is', () => {
    const batches = sizesOf([tableOf('a', Array(5_000).fill(200 * mebibyte))])
    expect(batches.length).toBeLessThanOrEqual(1_000)
    expect(batches.flat()).toHaveLength(5_000)
  })
})
