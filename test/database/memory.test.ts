import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { workKeys } from '../../lib/backup/layout.ts'
import { getJson } from '../../lib/backup/storage.ts'
import { DatabaseResult } from '../../lib/database/export.ts'
import { configured, planReset, useDatabase } from './database-stack.ts'

const database = useDatabase()
const limitMiB = 256

/** Exports in another process, as the storage of the stack keeps all objects in the memory of this one. */
async function exportApart(fatRows: number, thinRows: number) {
  await database.sql.query(`DROP SCHEMA IF EXISTS app CASCADE; CREATE SCHEMA app;
    CREATE TABLE app.fat (id int, text text); CREATE TABLE app.emoji (id int, text text); CREATE TABLE app.thin (id int, text text);
    INSERT INTO app.fat SELECT g, repeat('0123456789', 5 * 1024 * 1024) FROM generate_series(1, ${fatRows}) g;
    INSERT INTO app.emoji SELECT g, repeat(E'\\U0001F600\\n', 1024 * 1024) FROM generate_series(1, ${fatRows}) g;
    INSERT INTO app.thin SELECT g, md5(g::text) || md5((g + 1)::text) FROM generate_series(1, ${thinRows}) g`)
  const clients = configured(database.clients, { DATABASE_SCHEMAS: ['app'] })
  const plan = await planReset(clients)
  const child = await promisify(execFile)(
    process.execPath,
    [fileURLToPath(new URL('./export-child.ts', import.meta.url)), plan.runId, '1'],
    { env: { ...process.env, DATABASE_SCHEMAS: 'app', LOG_LEVEL: 'SILENT' } },
  )
  const { parts } = await getJson(database.storage, workKeys(plan).databaseResult(0), DatabaseResult)
  const rows = (name: string) =>
    parts.filter(({ table }) => table === name).reduce((sum, part) => sum + part.rows, 0)
  expect([rows('app.fat'), rows('app.emoji'), rows('app.thin')]).toEqual([fatRows, fatRows, thinRows])
  return JSON.parse(child.stdout) as { peakMiB: number; seconds: number }
}

it('an export needs no more memory for ten times the data, also with rows of 50 MB', {
  timeout: 120_000,
}, async () => {
  const once = await exportApart(Number(process.env.FAT ?? 20) / 10, 40_000)
  const tenTimes = await exportApart(Number(process.env.FAT ?? 20), 400_000)
  console.log(once, tenTimes)
  expect(once.peakMiB).toBeLessThan(limitMiB)
  expect(tenTimes.peakMiB).toBeLessThan(limitMiB)
})
