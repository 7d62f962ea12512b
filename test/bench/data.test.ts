import { expect, test } from 'vitest'
import { columnsOf, copyText, sizesAt, tables } from '../../bench/data/rows.ts'
import { story } from '../../bench/data/stories.ts'
import { prose, randomOf } from '../../bench/data/words.ts'
import { models } from '../../lib/database/taskmaster.ts'

const scale = 0.001
const textOf = (table: (typeof tables)[number]) => [...copyText(table, scale)].join('')

test('the reference data has all tables of TaskMaster, and 1.5 million rows', () => {
  expect([...tables].sort()).toEqual(Object.keys(models).sort())
  expect(Object.values(sizesAt(1)).reduce((sum, rows) => sum + rows)).toBe(1_500_000)
  expect(sizesAt(10).timeline_events).toBe(7_000_000)
})

test.each(tables)(
  'the rows of %s are as many as were said, in the form of COPY, and the same each time',
  (table) => {
    const text = textOf(table)
    const lines = text.split('\n').slice(0, -1)
    expect(lines).toHaveLength(sizesAt(scale)[table])
    for (const line of lines) expect(line.split('\t')).toHaveLength(columnsOf(table).length)
    expect(textOf(table)).toBe(text)
  },
)

test('a row refers to parents that there are', () => {
  const at = columnsOf('timeline_events').indexOf('element_id')
  const elements = textOf('timeline_events')
    .split('\n')
    .slice(0, -1)
    .map((line) => line.split('\t')[at])
    .filter((id) => id !== '\\N')
    .map(Number)
  expect(Math.min(...elements)).toBeGreaterThanOrEqual(1)
  expect(Math.max(...elements)).toBeLessThanOrEqual(sizesAt(scale).world_elements)
})

test('texts are of random words: no two are alike, and a story has about 3 KB', () => {
  const random = randomOf(1)
  const texts = Array.from({ length: 500 }, () => prose(random, 40))
  expect(new Set(texts).size).toBe(500)
  const bytes = Array.from({ length: 50 }, (_, number) => Buffer.byteLength(story(number)))
  expect(Math.min(...bytes)).toBeGreaterThan(1_500)
  expect(Math.max(...bytes)).toBeLessThan(5_000)
})
