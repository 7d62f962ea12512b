import { expect, it } from 'vitest'
import { diffDatabase } from '../../lib/database/difference/difference.ts'
import { useBundledChild } from '../support/bundled-child.ts'
import { inFullForm, isFull, tried } from '../support/trust.ts'
import { backUp, configured, planReset, useDatabase } from './database-stack.ts'

const database = useDatabase()
const diffIn = useBundledChild(new URL('./diff-child.ts', import.meta.url))

it('the locks of a difference do not become more with the tables that differ', async () => {
  const { sql, admin } = database
  const sessions = `SELECT pid FROM pg_stat_activity WHERE application_name = 'taskmaster-reset' AND datname = current_database()`
  const each = (statement: string) =>
    `DO $$ BEGIN FOR i IN 1..60 LOOP EXECUTE format(${statement}, i); END LOOP; END $$`
  await sql.query(
    `CREATE SCHEMA many; ${each(`'CREATE TABLE many.t%1$s (id int PRIMARY KEY, x text); INSERT INTO many.t%1$s VALUES (1, %1$s)'`)}`,
  )
  const clients = configured(database.clients, { DATABASE_SCHEMAS: ['many'] })
  const { database: held } = await backUp(clients, await planReset(clients))
  if (held === null) throw new Error('The backup holds no database.')
  const look = async () => {
    await expect.poll(async () => (await admin.query(sessions)).rowCount).toBe(0) // those of the steps before have ended
    let locks = 0
    const { tables } = await diffDatabase(clients, held, async () => {
      const found = await admin.query(
        `SELECT count(*)::int AS locks FROM pg_locks WHERE pid IN (${sessions})`,
      )
      locks = Math.max(locks, found.rows[0].locks)
    })
    return { tables, locks }
  }
  const before = await look()
  expect(before.tables).toEqual([])
  await sql.query(each(`'UPDATE many.t%1$s SET x = NULL; INSERT INTO many.t%1$s VALUES (2)'`))
  const after = await look()
  expect(after.tables).toHaveLength(60)
  for (const table of after.tables)
    expect(table).toMatchObject({ before: 1, now: 2, extra: 1, missing: 0, changed: 1 })
  expect(after.locks - before.locks).toBeLessThan(60)
})

it.runIf(isFull)(
  `a difference stays below 256 MiB where all of two million rows in a part differ, on each connection ${inFullForm}`,
  async () => {
    const { sql } = database
    const rows = 2_000_000
    await sql.query(`DROP SCHEMA IF EXISTS narrow CASCADE; CREATE SCHEMA narrow; CREATE TABLE narrow.t1 (id int); INSERT INTO narrow.t1 SELECT generate_series(1, ${rows});
      CREATE TABLE narrow.t2 AS TABLE narrow.t1; CREATE TABLE narrow.t3 AS TABLE narrow.t1`)
    const clients = configured(database.clients, { DATABASE_SCHEMAS: ['narrow'] })
    const { backupId } = await backUp(clients, await planReset(clients))
    await sql.query(`TRUNCATE narrow.t1, narrow.t2, narrow.t3; INSERT INTO narrow.t1 VALUES (0)`)
    const { peakMiB, tables } = await diffIn([backupId], { DATABASE_SCHEMAS: 'narrow' })
    expect(tables).toMatchObject([
      { now: 1, extra: 1, missing: rows },
      { now: 0, extra: 0, missing: rows },
      { now: 0, extra: 0, missing: rows },
    ])
    console.log(`Peak memory of a difference: ${peakMiB} MiB.`)
    tried('memory of a difference', { MiB: peakMiB })
    expect(peakMiB).toBeLessThan(256)
  },
)
