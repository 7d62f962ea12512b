import { expect, it } from 'vitest'
import { getJson } from '../../lib/backup/documents/read.ts'
import { workKeys } from '../../lib/backup/layout.ts'
import { DatabaseResult } from '../../lib/database/export/export.ts'
import { useBundledChild } from '../support/bundled-child.ts'
import { inFullForm, isFull, rounds, tried } from '../support/trust.ts'
import { configured, planReset, useDatabase } from './database-stack.ts'

const database = useDatabase()
const limitMiB = 256
const exportIn = useBundledChild(new URL('./export-child.ts', import.meta.url))

async function exportApart(fatRows: number, thinRows: number): Promise<{ peakMiB: number; seconds: number }> {
  await database.sql.query(`DROP SCHEMA IF EXISTS app CASCADE; CREATE SCHEMA app;
    CREATE TABLE app.fat (id int, text text); CREATE TABLE app.emoji (id int, text text); CREATE TABLE app.thin (id int, text text);
    ALTER TABLE app.fat ALTER text SET STORAGE EXTERNAL; ALTER TABLE app.emoji ALTER text SET STORAGE EXTERNAL;
    WITH random AS MATERIALIZED (SELECT string_agg(md5(i::text), '') AS text FROM generate_series(1, 32768) i)
      INSERT INTO app.fat SELECT g, repeat(text, 49) FROM generate_series(1, ${fatRows}) g, random;
    INSERT INTO app.emoji SELECT g, repeat(E'\\U0001F600\\n', 1024 * 1024) FROM generate_series(1, ${fatRows}) g;
    INSERT INTO app.thin SELECT g, md5(g::text) || md5((g + 1)::text) FROM generate_series(1, ${thinRows}) g`)
  const clients = configured(database.clients, { DATABASE_SCHEMAS: ['app'] })
  const plan = await planReset(clients)
  const measured = await exportIn([plan.runId, '1'], { DATABASE_SCHEMAS: 'app' })
  const { parts } = await getJson(database.storage, workKeys(plan).databaseResult(0), DatabaseResult)
  const rows = (name: string) =>
    parts.filter(({ table }) => table === name).reduce((sum, part) => sum + part.rows, 0)
  expect([rows('app.fat'), rows('app.emoji'), rows('app.thin')]).toEqual([fatRows, fatRows, thinRows])
  return measured
}

it.runIf(isFull)(
  `an export stays below 256 MiB, also with ten times the data, and with rows of 50 MB ${inFullForm}`,
  {
    timeout: 300_000,
  },
  async () => {
    const thin = rounds({ short: 5_000, full: 20_000 })
    const once = await exportApart(0, thin)
    const tenTimes = await exportApart(rounds({ short: 1, full: 2 }), 10 * thin)
    console.log(
      `Peak memory of an export: ${once.peakMiB} MiB, with ten times the data ${tenTimes.peakMiB} MiB.`,
    )
    tried('memory of an export', { MiB: tenTimes.peakMiB })
    expect(once.peakMiB).toBeLessThan(limitMiB)
    expect(tenTimes.peakMiB).toBeLessThan(limitMiB)
  },
)
