import { getTableConfig } from 'drizzle-orm/pg-core'
import pg from 'pg'
import { expect, inject, test } from 'vitest'
import { models, tables } from '../../lib/database/taskmaster.ts'
import { createTables } from '../../local/database/create-tables.ts'
import { createDatabase, dropDatabase } from '../../local/database/postgres.ts'
import { insertRows, sampleSizes } from '../../local/database/sample-rows.ts'
import { declaredShape, liveShapes } from './tables.ts'

test('the tables that the sample creates are those of the drizzle schema, and take its rows', async () => {
  const adminUrl = inject('postgresAdminUrl')
  const url = await createDatabase(adminUrl)
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(createTables(tables))
    const declared = tables.map(declaredShape).sort((a, b) => (a.name < b.name ? -1 : 1))
    expect(await liveShapes(client, 'public')).toEqual(declared)

    await client.query(insertRows(0.1).join(';'))
    for (const [table, rows] of Object.entries(sampleSizes(0.1))) {
      expect((await client.query(`SELECT count(*)::int AS rows FROM ${table}`)).rows).toEqual([{ rows }])
    }
  } finally {
    await client.end()
    await dropDatabase(adminUrl, url)
  }
})

test('each table has its model', () => {
  expect(Object.keys(models).sort()).toEqual(tables.map((table) => getTableConfig(table).name).sort())
  expect(Object.values(models)).toEqual([
    'User',
    'World',
    'WorldElement',
    'Timeline',
    'TimelineEvent',
    'StorySession',
    'AuditLog',
  ])
})
