import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { BackedUpTable } from '../../lib/backup/sections/database.ts'
import { dueParts, loadOf } from '../../lib/database/base/share.ts'

const [hour, day] = [60 * 60 * 1000, 24 * 60 * 60 * 1000]
const began = Date.parse('2026-11-22T03:00:00Z')
const iso = (time: number) => new Date(time).toISOString()

type Part = { table: string; shard: number; bytes: number; provedAt: number | null }

function tablesOf(parts: readonly Part[]): BackedUpTable[] {
  const byTable = Map.groupBy(parts, ({ table }) => table)
  return [...byTable].map(([name, some]) => {
    const held = some.map(({ shard, bytes, provedAt }) => ({
      ...{ shard, bytes, key: `${name}/${shard}`, rows: 1 },
      provedAt: provedAt === null ? null : iso(provedAt),
    }))
    return { name, parts: held } as unknown as BackedUpTable
  })
}

const keyOf = ({ table, shard }: Part) => `${table}/${shard}`
const bytesOf = (parts: readonly Part[]) => parts.reduce((sum, { bytes }) => sum + bytes, 0)

/** One night: what is loaded is proved at it. */
function night(
  parts: Part[],
  { now, baseAt, withinDays }: { now: number; baseAt: number; withinDays: number },
) {
  const due = dueParts(tablesOf(parts), { startedAt: iso(now), baseAt: iso(baseAt), withinDays })
  const loaded = parts.filter((part) => due.has(keyOf(part)))
  return {
    loaded,
    after: parts.map((part) => (due.has(keyOf(part)) ? { ...part, provedAt: now + hour / 6 } : part)),
  }
}

const sizes = fc.array(fc.array(fc.integer({ min: 1, max: 15_000_000 }), { minLength: 1, maxLength: 9 }), {
  minLength: 1,
  maxLength: 6,
})
const partsOf = (tables: number[][], provedAt: number | null): Part[] =>
  tables.flatMap((parts, table) =>
    parts.map((bytes, shard) => ({ table: `t${table}`, shard, bytes, provedAt })),
  )

describe('what a rehearsal loads of parts that are taken over', () => {
  it('leaves no part that was proved longer ago than the days, however the backups follow each other', () => {
    const gaps = fc.array(fc.integer({ min: 1, max: 90 * 24 }), { minLength: 1, maxLength: 60 })
    const changed = fc.integer({ min: 0, max: 4 })
    fc.assert(
      fc.property(
        sizes,
        gaps,
        fc.integer({ min: 1, max: 30 }),
        changed,
        (tables, hours, withinDays, each) => {
          let [now, parts] = [began, partsOf(tables, began + hour)]
          for (const gap of hours) {
            const baseAt = now
            now += (gap % 7 === 0 ? gap : (gap % 30) + 2) * hour
            parts = night(parts, { now, baseAt, withinDays }).after
            // Some are exported anew, and so loaded, and some exported by a run that loads nothing.
            parts = parts.map((part, at) => (at % 5 < each - 2 ? { ...part, provedAt: now + hour } : part))
            for (const { provedAt } of parts)
              expect(now - (provedAt ?? 0)).toBeLessThanOrEqual(withinDays * day)
          }
        },
      ),
      { numRuns: 100 },
    )
  })

  it('is about as much each night, from the night on in which all was loaded', () => {
    const withinDays = fc.integer({ min: 2, max: 14 })
    fc.assert(
      fc.property(sizes, withinDays, fc.integer({ min: 2, max: 30 }), (tables, days, between) => {
        let [now, parts] = [began, partsOf(tables, began + hour)]
        const largest = Math.max(...parts.map(({ bytes }) => bytes))
        const share =
          bytesOf(parts) * Math.min(1, (between * hour) / Math.max(1, days * day - between * hour))
        for (let nights = 0; nights < 30; nights++) {
          const baseAt = now
          now += between * hour
          const { loaded, after } = night(parts, { now, baseAt, withinDays: days })
          expect(bytesOf(loaded)).toBeLessThanOrEqual(1.1 * share + 2 * largest)
          parts = after
        }
      }),
      { numRuns: 100 },
    )
  })

  it('is a seventh of many equal parts, and nothing minutes later', () => {
    let [now, parts] = [began, partsOf([Array(70).fill(1000)], began + hour)]
    const loads: number[] = []
    for (let nights = 0; nights < 28; nights++) {
      const baseAt = now
      now += day
      const { loaded, after } = night(parts, { now, baseAt, withinDays: 7 })
      loads.push(loaded.length)
      parts = after
      expect(night(parts, { now: now + hour, baseAt: now, withinDays: 7 }).loaded).toEqual([])
    }
    expect(Math.max(...loads)).toBeLessThanOrEqual(12)
    expect(Math.min(...loads)).toBeGreaterThanOrEqual(9)
  })

  it('is what was never proved, or is proved at a time to come, and all when the base is as old as the days', () => {
    const parts = partsOf([[10, 10], [10]], began + hour)
    const odd = parts.map((part, at) => ({
      ...part,
      provedAt: [null, began + 9 * day, began + hour][at] ?? null,
    }))
    const asked = { now: began + hour * 2, baseAt: began, withinDays: 7 }
    expect(night(odd, asked).loaded.map(keyOf)).toEqual(['t0/0', 't0/1'])
    expect(night(parts, { ...asked, now: began + 7 * day }).loaded).toHaveLength(3)
  })

  it('is the same for who asks again, in whatever order the tables come', () => {
    fc.assert(
      fc.property(sizes, fc.integer({ min: 0, max: 20 * 24 }), (tables, age) => {
        const parts = partsOf(tables, null).map((part, at) => ({ ...part, provedAt: began - (at % 3) * day }))
        const at = { startedAt: iso(began + age * hour), baseAt: iso(began), withinDays: 7 }
        expect(dueParts(tablesOf(parts).toReversed(), at)).toEqual(dueParts(tablesOf(parts), at))
      }),
      { numRuns: 100 },
    )
  })

  it('is nothing of a copy that is proved, what is new of a composed part, and all of what is not', () => {
    expect(loadOf('copied', iso(began))).toBe('nothing')
    expect(loadOf('composed', iso(began))).toBe('fresh')
    for (const kind of ['copied', 'composed', 'exported'] as const) expect(loadOf(kind, null)).toBe('all')
    expect(loadOf('exported', iso(began))).toBe('all')
  })
})
