import { describe, expect, test } from 'vitest'
import { type Figure, figureOf, lasting, medianOf } from '../../bench/figures/figure.ts'
import { markdownOf } from '../../bench/figures/markdown.ts'
import { drawGrowth, drawRatios } from '../../bench/figures/pictures.ts'
import { peakOf, ratiosOf } from '../../bench/figures/ratios.ts'
import type { Results, ScaleResult } from '../../bench/figures/results.ts'
import { covered, median } from '../../bench/figures/statistics.ts'
import { targets } from '../../bench/figures/targets.ts'

const figure = (seconds: number, cpuSeconds = 1, peakMiB = 100): Figure => ({ seconds, cpuSeconds, peakMiB })

const size = { rows: 1_500_000, bytes: 762 * 2 ** 20, files: 5_000, keys: 100_000 }
const scaleOf = (scale: number, seconds: number[]): ScaleResult => ({
  scale,
  size,
  rows: [
    {
      name: 'export',
      what: 'export of the database',
      figures: seconds.map((one) => figure(one)),
      peers: [
        { name: 'pg_dump -Fd -j2 -Z1', figures: [lasting(4), lasting(2), lasting(3)] },
        { name: 'pg_dump -Fc', figures: [] },
      ],
    },
    {
      name: 'clear keys',
      what: 'clear of the cache',
      figures: [figure(1, 1, 250)],
      peers: [{ name: 'redis-cli --scan | xargs redis-cli unlink', figures: [lasting(4)] }],
    },
  ],
  leftOut: [{ name: 'rclone copy --transfers 64', reason: 'rclone is not installed' }],
})
const results = (scales: ScaleResult[], rounds = 5): Results => ({
  date: '2026-11-25T12:34:56.000Z',
  rounds,
  machine: '2 × Some processor, 24 GiB of memory, linux x64',
  load: 0.4,
  versions: ['PostgreSQL 15.18', 'pg_dump 15.18'],
  scales,
  bundles: { api: 978.2, copy: 844.9 },
})

describe('numbers', () => {
  test('the median is the middle one, and of two the mean', () => {
    expect(median([9, 1, 5])).toBe(5)
    expect(median([4, 1, 9, 2])).toBe(3)
    expect(() => median([])).toThrow('nothing')
  })

  test('what goes on side by side counts once', () => {
    const span = (startedAt: number, endedAt: number) => ({ startedAt, endedAt })
    expect(covered([])).toBe(0)
    expect(covered([span(10, 20), span(0, 5)])).toBe(15)
    expect(covered([span(0, 10), span(2, 3), span(5, 12), span(20, 21)])).toBe(13)
  })

  test('steps as one figure: their time covered, their CPU added up, their largest peak', () => {
    const step = { startedAt: 1_000, endedAt: 3_000, cpuMs: 500, importMs: 9, peakMiB: 80 }
    expect(figureOf([step, { ...step, startedAt: 2_000, endedAt: 4_000, peakMiB: 90 }])).toEqual(
      figure(3, 1, 90),
    )
  })

  test('the median of figures takes the highest peak, and tells no CPU that one of them lacks', () => {
    expect(medianOf([figure(1, 3, 9), figure(2, 1, 20), figure(9, 2, 10)])).toEqual(figure(2, 2, 20))
    expect(medianOf([figure(1), lasting(3)])).toEqual(lasting(2))
  })
})

describe('ratios', () => {
  test('are those of the medians, each beside its target; a peer that was not measured has none', () => {
    const found = ratiosOf(scaleOf(1, [9, 12, 6]))
    expect(found.map(({ row, peer, ratio, target }) => [row, peer, ratio, target?.most])).toEqual([
      ['export', 'pg_dump -Fd -j2 -Z1', 3, 1.5],
      ['clear keys', 'redis-cli --scan | xargs redis-cli unlink', 0.25, 0.5],
    ])
  })

  test('the peak is the highest of all steps', () => {
    expect(peakOf(scaleOf(1, [1]))).toBe(250)
    expect(peakOf({ rows: [] })).toBeNull()
  })

  test('no row has two targets beside one peer', () => {
    const names = targets.map(({ row, peer }) => `${row} ${peer}`)
    expect(new Set(names).size).toBe(names.length)
  })
})

describe('the document', () => {
  test('has date, machine, versions and data, and who was left out', () => {
    const text = markdownOf(results([scaleOf(1, [9, 12, 6])]))
    expect(text).toContain('2026-11-25 12:34 UTC, 5 rounds.')
    expect(text).toContain('2 × Some processor')
    expect(text).toContain('PostgreSQL 15.18; pg_dump 15.18; fsync off.')
    expect(text).toContain('## Scale 1: 1,500,000 rows (762.0 MiB), 5,000 files, 100,000 keys')
    expect(text).toContain('Left out: `rclone copy --transfers 64` (rclone is not installed).')
    expect(text).toContain('Largest peak of any invocation: 250 MiB at scale 1; at most 256 MiB.')
    expect(text).toContain('api 978, copy 845')
  })

  test('marks what reached its target, and nothing else; every line has as many cells as the head', () => {
    const lines = markdownOf(results([scaleOf(1, [9, 12, 6])])).split('\n')
    const table = lines.filter((line) => line.startsWith('|'))
    expect(table.map((line) => line.replaceAll('\\|', '').split('|').length)).toEqual(table.map(() => 12))
    expect(table.find((line) => line.includes('pg_dump -Fd'))).toMatch(/\| 3\.00 \| 1\.5 \|$/)
    expect(table.find((line) => line.includes('xargs'))).toMatch(/\| 0\.25 \| 0\.5 ✓ \|$/)
  })

  test('says so when there were too few rounds, or others were at work', () => {
    expect(markdownOf(results([scaleOf(1, [1])]))).not.toMatch(/Fewer than|Others were/)
    expect(markdownOf(results([scaleOf(1, [1])], 1))).toContain('1 round. **Fewer than 5')
    expect(markdownOf({ ...results([]), load: 7 })).toContain('load 7.0. Others were at work')
  })
})

describe('the pictures', () => {
  test('ratios: a bar for each that has a target, green when it is reached', () => {
    const drawing = drawRatios(scaleOf(1, [9, 12, 6]))
    expect(drawing.match(/<rect [^>]*fill="#(1a7f37|bc4c00)"/g)).toHaveLength(2)
    expect(drawing).toContain('3.00 of 1.5')
    expect(drawing).toContain('0.25 of 0.5')
  })

  test('growth: a line over the scales for ours and for the first peer', () => {
    const drawing = drawGrowth([scaleOf(0.1, [1]), scaleOf(1, [10]), scaleOf(10, [100])])
    const lines = [...drawing.matchAll(/<polyline points="([^"]+)"[^>]*stroke-width="2"/g)].map(
      ([, points]) => points,
    )
    expect(lines).toHaveLength(4)
    const places = (lines[1] ?? '').split(' ').map((place) => place.split(',').map(Number))
    const [[x0 = 0, y0 = 0] = [], [x1 = 0, y1 = 0] = [], [x2 = 0, y2 = 0] = []] = places
    expect(x1 - x0).toBeCloseTo(x2 - x1, 0)
    expect(y0 - y1).toBeCloseTo(y1 - y2, 0)
    expect(y1).toBeLessThan(y0)
  })

  test('no number of a drawing is lost, whatever was measured', () => {
    for (const drawing of [drawRatios({ ...scaleOf(1, []), rows: [] }), drawGrowth([scaleOf(1, [0.001])])])
      expect(drawing).not.toMatch(/NaN|Infinity|undefined/)
  })
})
