import pg from 'pg'
import { expect, inject, test } from 'vitest'
import { createLedger } from '../../lib/ledger/schema/create.ts'
import { tables } from '../../lib/ledger/schema.ts'
import { createDatabase, dropDatabase } from '../../local/database/postgres.ts'
import { declaredShape, liveShapes, type TableShape } from '../schema/tables.ts'

const byName = (a: TableShape, b: TableShape) => (a.name < b.name ? -1 : 1)

test('the ledger that claim creates is that of the drizzle schema; creating it again changes nothing', async () => {
  const adminUrl = inject('postgresAdminUrl')
  const url = await createDatabase(adminUrl)
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(createLedger)
    const live = await liveShapes(client, 'taskmaster_reset')
    expect(live).toEqual(tables.map(declaredShape).toSorted(byName))
    await client.query(createLedger)
    expect(await liveShapes(client, 'taskmaster_reset')).toEqual(live)
  } finally {
    await client.end()
    await dropDatabase(adminUrl, url)
  }
})
