import pg from 'pg'
import { expect, inject, test } from 'vitest'
import { createLedger, environment, invocations, runs, tokens } from '../../lib/ledger/schema.ts'
import { createDatabase, dropDatabase } from '../../local/database/postgres.ts'
import { declaredShape, liveShapes } from '../schema/tables.ts'

test('the ledger that claim creates is that of the drizzle schema; creating it again changes nothing', async () => {
  const adminUrl = inject('postgresAdminUrl')
  const url = await createDatabase(adminUrl)
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(createLedger)
    const live = await liveShapes(client, 'taskmaster_reset')
    expect(live).toEqual([environment, invocations, runs, tokens].map(declaredShape))
    await client.query(createLedger)
    expect(await liveShapes(client, 'taskmaster_reset')).toEqual(live)
  } finally {
    await client.end()
    await dropDatabase(adminUrl, url)
  }
})
