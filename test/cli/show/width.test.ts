import { describe, expect, test } from 'vitest'
import { coloured, colouredNames } from '../../../local/cli/show/colour.ts'
import { list, table } from '../../../local/cli/show/table.ts'
import { explained, terminalWidth, wrapped } from '../../../local/cli/show/width.ts'

const heading = ['started', 'run', 'operation', 'end']
const rows = [
  ['2026-11-26 03:00:00 UTC', '33982a4a-afa2-41ea-8c0d-d87ac22859f7', 'reset', 'succeeded'],
  ['2026-11-26 02:00:00 UTC', 'd634d7fe-6ade-4786-870c-a6d72cce09f8', 'backup', 'succeeded, with warnings'],
]

describe('a list', () => {
  test('has a heading over each column, and is one line for each row where there is room', () => {
    const [first, second, third] = list(heading, rows, Number.POSITIVE_INFINITY).split('\n')
    expect(first).toMatch(/^started {18}run {35}operation {2}end$/)
    expect(second).toBe(`${rows[0]?.[0]}  ${rows[0]?.[1]}  reset      succeeded`)
    expect(third).toMatch(/backup {5}succeeded, with warnings$/)
  })

  test('on a terminal of 60 columns puts what has no room below, still in columns', () => {
    const lines = list(heading, rows, 60).split('\n')
    expect(lines.slice(0, 4)).toEqual([
      'started',
      '    run                                   operation',
      '    end',
      '2026-11-26 03:00:00 UTC',
    ])
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(60)
  })

  test('breaks between words what is longer than a line by itself', () => {
    const reasons = 'the newest full backup; the newest that was rehearsed; pinned by cli somebody'
    const lines = list(['backup', 'why'], [['2026-11-26T03-00-00Z-aaaaaa', reasons]], 60).split('\n')
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(60)
    expect(lines.join(' ').replace(/\s+/g, ' ')).toContain(reasons)
  })

  test('says nothing of none, not even its heading', () => {
    expect(list(heading, [], 80)).toBe('')
  })

  test('still aligns numbers to the right, below a heading that is none', () => {
    expect(
      list(
        ['name', 'rows'],
        [
          ['a', '9'],
          ['b', '1,234'],
        ],
        80,
      ),
    ).toBe('name   rows\na         9\nb     1,234\n')
  })
})

test('the last column is broken beside the others where it has room enough', () => {
  expect(table([['database', 'restored', 'one two three four five six seven eight nine']], '  ', 60)).toBe(
    `  database  restored  one two three four five six seven\n${' '.repeat(22)}eight nine\n`,
  )
})

test('a table keeps its indent where it is broken', () => {
  expect(table([['x'.repeat(40), 'y'.repeat(40)]], '  ', 60)).toBe(
    `  ${'x'.repeat(40)}\n      ${'y'.repeat(40)}\n`,
  )
})

test('a line may be as wide as the terminal, at least 60, and as wide as it likes for a file or another program', () => {
  expect(terminalWidth({ isTTY: true, columns: 120 })).toBe(120)
  expect(terminalWidth({ isTTY: true, columns: 20 })).toBe(60)
  expect(terminalWidth({ isTTY: true, columns: 0 })).toBe(80) // it does not say
  expect(terminalWidth({ isTTY: false })).toBe(Number.POSITIVE_INFINITY)
})

test('help explains beside a word, or below a long one, within the width', () => {
  const says = 'one two three four five six seven eight nine ten eleven twelve thirteen'
  expect(
    explained(
      [
        ['a', says],
        ['a-word-that-is-far-too-long-for-it', 'x'],
      ],
      60,
    ).split('\n'),
  ).toEqual([
    `  a${' '.repeat(29)}one two three four five six`,
    `  ${' '.repeat(30)}seven eight nine ten eleven`,
    `  ${' '.repeat(30)}twelve thirteen`,
    '  a-word-that-is-far-too-long-for-it',
    `  ${' '.repeat(30)}x`,
  ])
  expect(wrapped('x'.repeat(70), 60)).toEqual(['x'.repeat(70)]) // a word stays whole
})

test('names of errors and warnings are coloured where the terminal has colours, and nowhere else', () => {
  const text = 'StoreUnavailable: away\nWarning LateRows: some\nBackup: s3://x\n'
  expect(colouredNames(text, { hasColors: () => true })).toBe(
    '\u001b[31mStoreUnavailable:\u001b[39m away\n\u001b[33mWarning LateRows:\u001b[39m some\nBackup: s3://x\n',
  )
  expect(colouredNames(text, { hasColors: () => false })).toBe(text) // NO_COLOR, or a terminal without
  expect(colouredNames(text, {})).toBe(text)
  expect(coloured('✓', 'green', {})).toBe('✓')
})
