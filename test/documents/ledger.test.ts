import { readFile } from 'node:fs/promises'
import { getTableColumns, getTableName } from 'drizzle-orm'
import { expect, test } from 'vitest'
import { tables } from '../../lib/ledger/schema.ts'

test('the ledger that docs/formats.md describes has every table and column of it', async () => {
  const text = await readFile(new URL('../../docs/formats.md', import.meta.url), 'utf8')
  const told = text.split('\n## ').find((section) => section.startsWith('The ledger\n')) ?? ''
  const untold = tables
    .flatMap((table) => [
      getTableName(table),
      ...Object.values(getTableColumns(table)).map(({ name }) => name),
    ])
    .filter((name) => name !== 'one' && !told.includes(`\`${name}\``))
  expect(untold).toEqual([])
})
