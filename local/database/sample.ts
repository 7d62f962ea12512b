import pg from 'pg'
import { tables } from '../../lib/database/taskmaster.ts'
import type { Reached } from '../store.ts'
import { createTables } from './create-tables.ts'
import { insertRows, sampleSizes } from './sample-rows.ts'
import type { DatabaseShape } from './store.ts'

/** Creates the seven tables, which must not be there yet, and about 5,400 rows times `scale`. */
export async function fillTables({ env }: Reached, scale: number): Promise<DatabaseShape['filled']> {
  const client = new pg.Client({ connectionString: env.DATABASE_URL })
  await client.connect()
  try {
    await client.query(`BEGIN;\n${createTables(tables)};\n${insertRows(scale).join(';\n')};\nCOMMIT`)
    await client.query('ANALYZE')
  } finally {
    await client.end()
  }
  return { rows: sampleSizes(scale) }
}
