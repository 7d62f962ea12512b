import { expect, test } from 'vitest'
import { enumeration } from '../lib/amounts.ts'

test.each([
  [[], ''],
  [['rows'], 'rows'],
  [['rows', 'files'], 'rows and files'],
  [['rows', 'files', 'keys'], 'rows, files and keys'],
])('%j are told as "%s"', (items, told) => {
  expect(enumeration(items, 'and')).toBe(told)
})
