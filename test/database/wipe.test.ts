import { describe, expect, it } from 'vitest'
import { wipeDatabase } from '../../lib/database/wipe.ts'
import { backUp, planReset, useDatabase } from './database-stack.ts'

const database = useDatabase()
describe('x', () => {
  it('works', async () => {
    const { sql, clients } = database
    await sql.query(`CREATE TABLE a (id int generated always as identity primary key, t text);
    INSERT INTO a (t) SELECT g::text FROM generate_series(1, 100) g`)
    const plan = await planReset(clients)
    const manifest = await backUp(clients, plan)
    expect(manifest.database?.rows).toBe(100)
    expect(await wipeDatabase(clients, plan)).toMatchObject({ rows: 100 })
  })
})
