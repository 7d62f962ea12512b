import type pg from 'pg'
import { beforeEach, expect, it } from 'vitest'
import type { Clients } from '../../lib/clients.ts'
import { wipeDatabase } from '../../lib/database/wipe/wipe.ts'
import { BackupIsStale, DatabaseBusy } from '../../lib/errors.ts'
import { databaseOf, type Plan } from '../../lib/run/planning/plan.ts'
import { inFullForm, isFull, rounds } from '../support/trust.ts'
import { backUp, configured, linesOf, planReset, readBackup, session, useDatabase } from './database-stack.ts'

const database = useDatabase()
let clients: Clients

beforeEach(async () => {
  clients = configured(database.clients, { DATABASE_SCHEMAS: ['app'], LOCK_TIMEOUT_MS: 20_000 })
  await database.sql.query(`DROP SCHEMA IF EXISTS app CASCADE; CREATE SCHEMA app;
    CREATE TABLE app.boxes (name text PRIMARY KEY, version int, keep boolean, filler text);
    CREATE TABLE app.things (name text PRIMARY KEY, version int, keep boolean, filler text, box text REFERENCES app.boxes);
    INSERT INTO app.boxes SELECT 'old ' || g, 1, false, repeat('x', 300) FROM generate_series(1, 3000) g`)
})

/** What was committed last for each name: its version, or that it was deleted. A row that is not there is no change. */
type Committed = Map<string, number | 'deleted'>

/** Changes rows under names of its own as fast as it can, each commit noted as soon as Postgres has confirmed it. */
async function write(client: pg.Client, number: number, committed: Committed, stopped: () => boolean) {
  for (let turn = 0; !stopped(); turn++) {
    const [box, thing] = [`box ${number} ${turn}`, `thing ${number} ${turn}`]
    const earlier = `${number} ${turn - 1 - (turn % 7)}`
    const keep = turn % 5 === 0
    const statements: [sql: string, name: string, state: number | 'deleted'][] = [
      [`INSERT INTO app.boxes VALUES ($1, 1, ${keep}, repeat('y', ${turn % 400}))`, box, 1],
      [`INSERT INTO app.things VALUES ($1, 1, ${keep}, '', '${box}')`, thing, 1],
      ['UPDATE app.things SET version = 2, filler = repeat(name, 9) WHERE name = $1', thing, 2],
      ['UPDATE app.boxes SET version = version + 1 WHERE name = $1 AND version = 1', `box ${earlier}`, 2],
      ['DELETE FROM app.things WHERE name = $1 AND NOT keep', `thing ${earlier}`, 'deleted'],
      ['DELETE FROM app.boxes WHERE name = $1', `old ${number}${turn}`, 'deleted'],
    ]
    const changes: [string, number | 'deleted'][] = []
    try {
      await client.query('BEGIN')
      for (const [sql, name, state] of statements) {
        const { rowCount } = await client.query(sql, [name])
        if (rowCount === 1) changes.push([name, state])
      }
      await client.query('COMMIT')
      for (const [name, state] of changes) committed.set(name, state)
    } catch {
      await client.query('ROLLBACK') // the wipe came in between (a foreign key, a deadlock): nothing was committed
    }
  }
}

async function besideWriters(use: () => Promise<void>): Promise<Committed> {
  const committed: Committed = new Map()
  let over = false
  const writers = await Promise.all([1, 2, 3].map((number) => session(database, `writer ${number}`)))
  const writing = Promise.all(writers.map((one, number) => write(one, number, committed, () => over)))
  try {
    await expect.poll(() => committed.size).toBeGreaterThan(50)
    await use()
  } finally {
    over = true
    await writing
  }
  return committed
}

type Held = Map<string, { version: number; keep: boolean }>

/** What a backup holds with its late parts; each name once. */
async function heldBy(plan: Plan): Promise<Held> {
  const { tables } = await readBackup(clients, plan.backupId!)
  const lines = (await Promise.all(tables.map((table) => linesOf(clients, table)))).flat()
  const rows = lines.map((line) => JSON.parse(line))
  expect(new Set(rows.map(({ name }) => name)).size).toBe(rows.length)
  return new Map(rows.map(({ name, version, keep }) => [name, { version, keep }]))
}

async function stillThere(): Promise<Held> {
  const answer = await database.sql.query(
    'SELECT name, version, keep FROM app.boxes UNION ALL SELECT name, version, keep FROM app.things',
  )
  return new Map(answer.rows.map(({ name, version, keep }) => [name, { version, keep }]))
}

it('every committed row is in one of the backups as it was last, or still in its table', async () => {
  const plans: Plan[] = []
  const committed = await besideWriters(async () => {
    for (let round = 0; round < rounds({ short: 2, full: 3 }); round++) {
      const plan = await planReset(clients, { pagesPerShard: 4 })
      await backUp(clients, plan)
      await wipeDatabase(clients, databaseOf(plan))
      plans.push(plan)
    }
  })
  const backups = await Promise.all(plans.map(heldBy))
  const there = await stillThere()
  for (const [name, state] of committed) {
    const found = [...backups, there].flatMap((held) => held.get(name)?.version ?? [])
    expect({ name, found }).toEqual({ name, found: state === 'deleted' ? [] : [state] })
  }
  for (let old = 1; old <= 3000; old++) {
    if (committed.has(`old ${old}`)) continue
    expect(backups[0]?.get(`old ${old}`)?.version).toBe(1)
  }
  const late = await Promise.all(plans.map((plan) => readBackup(clients, plan.backupId!)))
  expect(late.some(({ attempt }) => attempt > 0)).toBe(true)
}, 1_200_000)

it.runIf(isFull)(
  `rows that are kept stay as they were last, and are in the backup as well ${inFullForm}`,
  async () => {
    const rows = { 'app.boxes': 'keep', 'app.things': 'keep' }
    let plan: Plan | undefined
    const committed = await besideWriters(async () => {
      plan = await planReset(clients, { rows })
      await backUp(clients, plan)
      await wipeDatabase(clients, databaseOf(plan))
    })
    const backup = await heldBy(plan!)
    const there = await stillThere()
    for (const [name, state] of committed) {
      if (state === 'deleted') expect([name, there.has(name)]).toEqual([name, false])
      else expect([name, there.get(name)?.version ?? backup.get(name)?.version]).toEqual([name, state])
    }
    for (const [name, { keep }] of backup) if (keep) expect([name, there.has(name)]).toEqual([name, true])
  },
)

it.runIf(isFull)(
  `nothing is lost when the backup is stale, and the next attempt covers everything ${inFullForm}`,
  async () => {
    const strict = configured(clients, { LATE_MAX_BYTES: 1 })
    let plan: Plan | undefined
    const committed = await besideWriters(async () => {
      const stale = await planReset(strict)
      await backUp(strict, stale)
      await expect(wipeDatabase(strict, databaseOf(stale))).rejects.toThrow(BackupIsStale)
      const old = await database.sql.query(
        `SELECT count(*)::int AS rows FROM app.boxes WHERE name LIKE 'old %'`,
      )
      expect(old.rows[0].rows).toBeGreaterThan(0)
      plan = await planReset(clients)
      await backUp(clients, plan)
      await wipeDatabase(clients, databaseOf(plan))
    })
    const backup = await heldBy(plan!)
    const there = await stillThere()
    for (const [name, state] of committed) {
      const found = [backup, there].flatMap((held) => held.get(name)?.version ?? [])
      expect({ name, found }).toEqual({ name, found: state === 'deleted' ? [] : [state] })
    }
  },
)

it('a writer that never commits makes the wipe give way, and loses nothing itself', async () => {
  const impatient = configured(clients, { LOCK_TIMEOUT_MS: 300 })
  const plan = await planReset(clients)
  await backUp(clients, plan)
  const writer = await session(database, 'slow writer')
  await writer.query(`BEGIN; INSERT INTO app.boxes VALUES ('mine', 1)`)
  await expect(wipeDatabase(impatient, databaseOf(plan))).rejects.toThrow(DatabaseBusy)
  await writer.query('COMMIT')
  expect((await stillThere()).get('mine')?.version).toBe(1)
  await wipeDatabase(clients, databaseOf(plan))
  expect((await heldBy(plan)).get('mine')?.version).toBe(1)
})
