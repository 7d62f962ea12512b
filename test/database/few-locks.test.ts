import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Backup } from '../../lib/backup/read.ts'
import { withConnection } from '../../lib/postgres/with-connection.ts'
import { countAll } from '../../lib/run/count.ts'
import { planComparison } from '../../lib/run/on-backup/diff.ts'
import { currentClients } from '../../lib/task.ts'
import { startPostgres } from '../../local/database/postgres.ts'
import { type Guarded, guardProcesses } from '../../local/processes/child-processes.ts'
import { type Stack, startStack } from '../../local/stack.ts'

/** For a wipe alone there is room; a restore needs more. */
const tables = 80

let guarded: Guarded
let stack: Stack
let sql: pg.Client

beforeAll(async () => {
  guarded = await guardProcesses()
  // Room for 10 × (20 + 0) locks: the least that Postgres lets one set.
  const settings = { max_connections: 20, max_locks_per_transaction: 10, max_prepared_transactions: 0 }
  const { adminUrl } = await startPostgres(guarded, settings)
  stack = await startStack({
    environment: { PATH: process.env.PATH },
    postgresAdminUrl: adminUrl,
    definition: { StartAt: 'Done', States: { Done: { Type: 'Succeed' } } },
    loadFunctions: async () => ({}),
  })
  sql = new pg.Client({ connectionString: stack.env.DATABASE_URL ?? '' })
  await sql.connect()
  for (let table = 1; table <= tables; table++)
    await sql.query(`CREATE TABLE t${table} (id int PRIMARY KEY); INSERT INTO t${table} VALUES (1)`)
})
afterAll(async () => {
  await sql?.end()
  await stack?.stop()
  await guarded?.stop()
})

const count = async (request: object) =>
  countAll(await currentClients(), {
    request: { confirm: 'local', ...request },
    runId: randomUUID(),
    attempt: 0,
    startedAt: new Date().toISOString(),
  })

it('a reset whose locks the server has no room for is refused by Count, also in a dry run, with the figures and the setting', async () => {
  await count({ operation: 'claim' })
  await sql.query(`UPDATE taskmaster_reset.runs SET status = 'succeeded', finished_at = now()`) // as Finish does
  for (const dryRun of [true, false]) {
    const refused = count({ operation: 'reset', strategy: 'database-only', dryRun })
    await expect(refused).rejects.toMatchObject({
      name: 'LimitExceeded',
      message: expect.stringMatching(/restore needs \d+ locks.* 200.*max_locks_per_transaction/s),
    })
    await sql.query(`UPDATE taskmaster_reset.runs SET status = 'failed', finished_at = now()`)
  }
  const { rows } = await sql.query('SELECT count(*)::int AS rows FROM t1')
  expect(rows[0].rows).toBe(1)
})

it('a backup is warned of while the reserve of the server may hold its locks, and refused beyond; read back alone it needs fewer', async () => {
  const backup = (rehearse: boolean) =>
    count({ operation: 'backup', strategy: 'database-only', rehearse, dryRun: true })
  const over = () => sql.query(`UPDATE taskmaster_reset.runs SET status = 'failed', finished_at = now()`)
  const warned = async () => {
    const { rows } = await sql.query(
      'SELECT plan FROM taskmaster_reset.runs ORDER BY started_at DESC LIMIT 1',
    )
    const { warnings } = rows[0].plan as { warnings: { code: string; message: string }[] }
    return warnings.filter(({ code }) => code === 'MayLackLocks').map(({ message }) => message)
  }
  const makeTables = async (first: number, last: number) => {
    for (let table = first; table <= last; table++)
      await sql.query(`CREATE TABLE t${table} (id int PRIMARY KEY)`)
  }
  await backup(false)
  expect(await warned()).toEqual([])
  await over()
  // Each table and its index; loaded, the copy of each as well.
  await backup(true)
  expect(await warned()).toEqual([
    expect.stringMatching(/^The backup needs 240 locks .* set max_locks_per_transaction to at least 12 /),
  ])
  await over()
  await makeTables(tables + 1, 101)
  await backup(false)
  expect(await warned()).toEqual([
    expect.stringMatching(/^The backup needs 202 locks .* \(101 tables, 101 of/),
  ])
  await over()
  await makeTables(102, 134)
  await expect(backup(true)).rejects.toThrow(
    /^The backup needs 402 locks .* Nothing was touched; set max_locks_per_transaction to at least 21 /,
  )
  await over()
})

it('a comparison with a backup is refused as well, when the tables have become more than the server could lock', async () => {
  const clients = await currentClients()
  const seen = { manifest: '', late: null }
  const backup = {
    backupId: '2026-11-22T19-05-33Z-3f9a2c',
    seen,
    database: { tables: [], sequences: [] },
  } as unknown as Backup
  await sql.query(
    `DO $$ BEGIN FOR i IN 1..201 LOOP EXECUTE format('CREATE TABLE more%s (id int PRIMARY KEY)', i); END LOOP; END $$`,
  )
  const compared = withConnection(clients, (connection) =>
    planComparison(clients, connection, { run: { runId: randomUUID(), attempt: 0 }, backup }),
  )
  await expect(compared).rejects.toThrow(
    /^The comparison needs \d+ locks .* Nothing was touched; set max_locks/,
  )
})
