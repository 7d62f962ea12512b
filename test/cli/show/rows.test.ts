import { expect, test } from 'vitest'
import { toldRows } from '../../../lib/http/document/examples.ts'
import { showRows } from '../../../local/cli/show/rows.ts'

test('rows that differ are shown by what a restore would do about them, and of changed ones what is another value', () => {
  expect(showRows(toldRows, false)).toBe(`
A restore would remove 1 row of public.users:

  id   name  role
  241  Ada   NULL

A restore would change back 1 row of public.users:

     column  in the backup  now
  7  role    admin          editor
`)
})

test('of two backups, of which all rows are told that were asked for, and how many there are', () => {
  const rows = [{ kind: 'missing' as const, before: ['7', 'Grace', 'admin'] }]
  const text = showRows({ ...toldRows, extra: 0, changed: null, missing: 1200, rows, leftOut: 2 }, true)
  expect(text).toBe(`
A restore of the first would bring back 1 of 1,200 rows of public.users:

  id  name   role
  7   Grace  admin

2 rows more would have been too long to tell.
`)
})

test('the beginning of what is long is shown, and nothing that a terminal would obey', () => {
  const columns = Array.from({ length: 12 }, (_, at) => `c${at}`)
  const now = columns.map(() => `\u001b[2J${'x'.repeat(100)}`)
  const text = showRows({ ...toldRows, columns, changed: 0, rows: [{ kind: 'extra', now }] }, false)
  expect(text).toContain('c7\n')
  expect(text).toContain('  and 4 columns more: --json tells all\n')
  expect(text).not.toContain('\u001b')
  expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThan(420)
})

test('a change that is behind the beginning of a long value is a row all the same', () => {
  const same = ['7', 'x… (shortened; it has 900 characters)', null]
  const rows = [{ kind: 'changed' as const, before: same, now: same }]
  expect(showRows({ ...toldRows, extra: 0, rows }, false)).toContain(
    '  7  behind the beginning of a long value\n',
  )
})

test('none is shown of a table that is as it was', () => {
  expect(showRows({ ...toldRows, extra: 0, changed: 0, rows: [], key: [] }, false)).toBe(
    '\nNo row of public.users differs.\n',
  )
})

test('nothing is said of the rows of a table that was dropped or altered before they were looked at', () => {
  const none = { ...toldRows, extra: 0, missing: 0, changed: null, rows: [], key: [] }
  const obstacle = 'its column role is no longer there'
  expect(showRows({ ...none, obstacle }, false)).toBe(
    '\nRows of public.users cannot be told: its column role is no longer there.\n',
  )
  expect(showRows({ ...none, now: null, missing: 5 }, false)).toBe(
    '\nRows of public.users cannot be told: it is not there now.\n',
  )
})

test('as many values as may have changed in the widest of tables are shown, and no half of a character', () => {
  const columns = Array.from({ length: 1600 }, (_, at) => `c${at}`)
  const of = (value: string) => columns.map((name) => (name === 'c0' ? '7' : value))
  const rows = Array.from({ length: 80 }, () => ({
    kind: 'changed' as const,
    before: of('1'),
    now: of('2'),
  }))
  const text = showRows({ ...toldRows, extra: 0, changed: 80, columns, key: ['c0'], rows }, false)
  expect(text.match(/ {2}1 {2,}2\n/g)).toHaveLength(127_920)
  const long = [`${'x'.repeat(39)}\u{1f600}\u{1f600}`]
  const one = showRows(
    { ...toldRows, columns: ['c'], changed: 0, rows: [{ kind: 'extra', now: long }] },
    false,
  )
  expect(one).toContain(`  ${'x'.repeat(39)}…\n`)
})
