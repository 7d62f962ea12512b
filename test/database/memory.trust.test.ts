import { expect, it } from 'vitest'
import { getJson } from '../../lib/backup/documents/read.ts'
import { workKeys } from '../../lib/backup/layout.ts'
import { DatabaseResult } from '../../lib/database/export/batch.ts'
import { seal } from '../../lib/run/seal.ts'
import { useBundledChild } from '../support/bundled-child.ts'
import { inFullForm, isFull, rounds, tried } from '../support/trust.ts'
import { configured, planReset, useDatabase } from './database-stack.ts'

const database = useDatabase()
const limitMiB = 256
const exportIn = useBundledChild(new URL('./export-child.ts', import.meta.url))

type Rows = { fat: number; thin: number; narrow: number }

async function exportApart({ fat, thin, narrow }: Rows): Promise<{ peakMiB: number; seconds: number }> {
  await database.sql.query(`DROP SCHEMA IF EXISTS app CASCADE; CREATE SCHEMA app;
    CREATE TABLE app.fat (id int, text text); CREATE TABLE app.emoji (id int, text text); CREATE TABLE app.thin (id int, text text);
    ALTER TABLE app.fat ALTER text SET STORAGE EXTERNAL; ALTER TABLE app.emoji ALTER text SET STORAGE EXTERNAL;
    WITH random AS MATERIALIZED (SELECT string_agg(md5(i::text), '') AS text FROM generate_series(1, 32768) i)
      INSERT INTO app.fat SELECT g, repeat(text, 49) FROM generate_series(1, ${fat}) g, random;
    INSERT INTO app.emoji SELECT g, repeat(E'\\U0001F600\\n', 1024 * 1024) FROM generate_series(1, ${fat}) g;
    INSERT INTO app.thin SELECT g, md5(g::text) || md5((g + 1)::text) FROM generate_series(1, ${thin}) g;
    CREATE TABLE app.narrow_1 (); CREATE TABLE app.narrow_2 (); CREATE TABLE app.narrow_3 ();
    INSERT INTO app.narrow_1 SELECT FROM generate_series(1, ${narrow}); INSERT INTO app.narrow_2 SELECT FROM app.narrow_1; INSERT INTO app.narrow_3 SELECT FROM app.narrow_1`)
  const clients = configured(database.clients, { DATABASE_SCHEMAS: ['app'] })
  const plan = await planReset(clients)
  const measured = await exportIn([plan.runId, '1'], { DATABASE_SCHEMAS: 'app' })
  const { parts } = await getJson(database.storage, workKeys(plan).databaseResult(0), DatabaseResult)
  const rows = (name: string) =>
    parts.filter(({ table }) => table === name).reduce((sum, part) => sum + part.rows, 0)
  expect([rows('app.fat'), rows('app.emoji'), rows('app.thin')]).toEqual([fat, fat, thin])
  expect(['app.narrow_1', 'app.narrow_2', 'app.narrow_3'].map(rows)).toEqual([narrow, narrow, narrow])
  await seal(clients, plan, async () => {})
  return measured
}

/** The next export, of which most is put together of what the last one wrote. */
async function exportMore(): Promise<{ peakMiB: number }> {
  for (const table of ['narrow_1', 'narrow_2', 'narrow_3'])
    await database.sql.query(`INSERT INTO app.${table} SELECT FROM generate_series(1, 1000)`)
  const plan = await planReset(configured(database.clients, { DATABASE_SCHEMAS: ['app'] }))
  const measured = await exportIn([plan.runId, '1'], { DATABASE_SCHEMAS: 'app' })
  const { parts } = await getJson(database.storage, workKeys(plan).databaseResult(0), DatabaseResult)
  expect(parts.filter(({ origin }) => origin?.kind === 'composed')).toHaveLength(3)
  return measured
}

it.runIf(isFull)(
  `an export stays below 256 MiB, also with ten times the data, with rows of 50 MB and with two million rows in a part ${inFullForm}`,
  async () => {
    const thin = rounds({ short: 5_000, full: 20_000 })
    const once = await exportApart({ fat: 0, thin, narrow: 0 })
    const tenTimes = await exportApart({ fat: rounds({ short: 1, full: 2 }), thin: 10 * thin, narrow: 0 })
    const narrow = await exportApart({ fat: 0, thin: 0, narrow: rounds({ short: 200_000, full: 2_000_000 }) })
    const composed = await exportMore()
    console.log(
      `Peak memory of an export: ${once.peakMiB} MiB, with ten times the data ${tenTimes.peakMiB} MiB, of rows without columns ${narrow.peakMiB} MiB, of which most is taken over ${composed.peakMiB} MiB.`,
    )
    tried('memory of an export', { MiB: Math.max(tenTimes.peakMiB, narrow.peakMiB, composed.peakMiB) })
    for (const { peakMiB } of [once, tenTimes, narrow, composed]) expect(peakMiB).toBeLessThan(limitMiB)
  },
)
