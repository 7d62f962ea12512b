import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { BackedUpTable } from '../../lib/backup/sections/database.ts'
import { bucketsOf, type Clients, makeS3 } from '../../lib/clients.ts'
import { compareBackup } from '../../lib/database/load/rehearse.ts'
import { checkLockedTime, estimateLocked } from '../../lib/database/locks/duration.ts'
import { findHolders } from '../../lib/database/locks/holders.ts'
import { checkLockNeed, readLockNeed } from '../../lib/database/locks/need.ts'
import { whileLocked } from '../../lib/database/locks/transaction.ts'
import { lockedWorks } from '../../lib/database/plan/lock-checks.ts'
import { restoreDatabase } from '../../lib/database/restore/restore.ts'
import { ensureScratch } from '../../lib/database/scratch/create.ts'
import { dropLeftovers } from '../../lib/database/scratch/drop.ts'
import { checkScratchAllowed } from '../../lib/database/scratch/event-triggers.ts'
import { scratchSchemaOf } from '../../lib/database/scratch/schema.ts'
import { withSnapshot } from '../../lib/database/snapshot.ts'
import { wipeDatabase } from '../../lib/database/wipe/wipe.ts'
import {
  DatabaseBusy,
  LimitExceeded,
  NotPermitted,
  RehearsalFailed,
  StoreUnavailable,
  TooLateToCancel,
} from '../../lib/errors.ts'
import { readRun } from '../../lib/ledger/runs.ts'
import type { Connection } from '../../lib/postgres/connection.ts'
import { withConnection } from '../../lib/postgres/with-connection.ts'
import { cancelRun } from '../../lib/run/cancel.ts'
import { databaseOf, type Plan, plannedRun, restoredBy } from '../../lib/run/planning/plan.ts'
import { startFront } from '../files/s3-front.ts'
import { load, planRestore, readBackupOf } from '../restore/steps.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import {
  backUp,
  configured,
  linesOf,
  planReset,
  readBackup,
  session,
  useDatabase,
  waiting,
} from './database-stack.ts'

const database = useDatabase()
let clients: Clients
let front: Awaited<ReturnType<typeof startFront>>

beforeAll(async () => {
  front = await startFront(database.env.AWS_ENDPOINT_URL_S3 ?? '')
})
afterAll(() => front?.stop())

beforeEach(async () => {
  front.faults = []
  clients = configured(database.clients, { DATABASE_SCHEMAS: ['app'], LOCK_TIMEOUT_MS: 20_000 })
  await database.sql.query(`DROP SCHEMA IF EXISTS app CASCADE; CREATE SCHEMA app;
    CREATE TABLE app.people (id int PRIMARY KEY, name text);
    INSERT INTO app.people SELECT g, 'person ' || g FROM generate_series(1, 50) g;
    CREATE TABLE app.zoo (id int PRIMARY KEY); INSERT INTO app.zoo VALUES (1)`)
})

/** How a promise ended: what it gave, or the error's name. */
const endOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'done',
    (error: Error) => error.name,
  )

const people = async () =>
  (await database.sql.query('SELECT count(*)::int AS rows FROM app.people')).rows[0].rows

// biome-ignore lint/suspicious/noExplicitAny: a row of the ledger
async function rowOf({ runId }: Plan): Promise<any> {
  const found = await database.sql.query('SELECT * FROM taskmaster_reset.runs WHERE run_id = $1', [runId])
  return found.rows[0]
}

/** As a step of the machine begins. */
const enter = ({ runId }: Plan, phase: string) =>
  database.sql.query('UPDATE taskmaster_reset.runs SET phase = $2, waiting = $3 WHERE run_id = $1', [
    runId,
    phase,
    'waiting for locks',
  ])

async function aBackup(): Promise<Plan> {
  const plan = await planReset(clients)
  await backUp(clients, plan)
  return plan
}

/** A restore that is ready to swap the rows; its backup holds fifty people, the table holds one more by now. */
async function aRestore(): Promise<{ plan: Plan; swap: (own?: Clients) => Promise<unknown> }> {
  const backedUp = await aBackup()
  await database.sql.query(`INSERT INTO app.people VALUES (51, 'since')`)
  const plan = await planRestore(clients, backedUp.backupId)
  await load(clients, plan)
  const backup = await readBackupOf(clients, backedUp)
  return { plan, swap: (own = clients) => restoreDatabase(own, { ...databaseOf(plan), backup }) }
}

/** Each as the step that asks for the locks, with the phase in which it does. */
const steps = [
  [
    'wipe',
    'Wipe database',
    0,
    async () => {
      const plan = await aBackup()
      return { plan, act: (own = clients) => wipeDatabase(own, databaseOf(plan)) as Promise<unknown> }
    },
  ],
  [
    'restore',
    'Restore database',
    50,
    async () => {
      const { plan, swap } = await aRestore()
      return { plan, act: swap }
    },
  ],
] as const

describe.each(steps)('a %s that waits for its locks', (does, phase, rowsAfter, prepare) => {
  /** A restore waits as a wipe does: the short form has it of the wipe alone. */
  const asBoth = (name: string, use: () => Promise<void>) =>
    does === 'wipe' ? it(name, use) : it.runIf(isFull)(`${name} ${inFullForm}`, use)

  asBoth('says so in the ledger, with who is in the way, until it has them', async () => {
    const { plan, act } = await prepare()
    const idle = await session(database, 'forgotten notebook')
    await idle.query('BEGIN; SELECT FROM app.people LIMIT 1')
    const acting = act()
    await expect
      .poll(async () => (await rowOf(plan)).waiting)
      .toMatch(
        /^waiting for locks, try [2-9] of \d+; in the way: process \d+ \(.*"forgotten notebook".* holds people$/,
      )
    await idle.query('COMMIT')
    await acting
    expect((await rowOf(plan)).waiting).toBeNull()
    expect(await people()).toBe(rowsAfter)
  })

  asBoth('can be cancelled, and then changes nothing: RunLost', async () => {
    const { plan, act } = await prepare()
    await enter(plan, phase)
    const before = await people()
    const idle = await session(database, 'holder')
    await idle.query('BEGIN; LOCK TABLE app.people IN ROW EXCLUSIVE MODE')
    const acting = endOf(act())
    await expect.poll(() => waiting(database)).toBe(1)
    const { status, failure } = await cancelled(plan)
    expect([status, failure.message]).toEqual([
      'cancelled',
      expect.stringContaining(`in the step "${phase}"`),
    ])
    await idle.query('COMMIT')
    expect(await acting).toBe('RunLost')
    expect(await people()).toBe(before)
  })

  it.runIf(isFull)(`has what was committed meanwhile in its backup ${inFullForm}`, async () => {
    const { plan, act } = await prepare()
    const writer = await session(database, 'writer')
    await writer.query(`BEGIN; INSERT INTO app.people VALUES (99, 'at the last moment')`)
    const acting = act()
    await expect.poll(() => waiting(database)).toBe(1)
    await writer.query('COMMIT')
    await acting
    const { tables } = await readBackup(clients, plan.backupId!)
    const lines = await linesOf(
      clients,
      tables.find(({ name }) => name === 'app.people'),
    )
    expect(lines.filter((line) => line.includes('at the last moment'))).toHaveLength(1)
    expect(await people()).toBe(rowsAfter)
  })

  it.runIf(isFull)(
    `lets a session that holds one table and needs another finish first: neither is aborted ${inFullForm}`,
    async () => {
      const { act } = await prepare()
      const other = await session(database, 'writer')
      await other.query('BEGIN; LOCK TABLE app.zoo')
      const acting = endOf(act())
      await expect.poll(() => waiting(database)).toBe(1)
      await other.query(`INSERT INTO app.people VALUES (77, 'x')`)
      await other.query('COMMIT')
      expect(await acting).toBe('done')
    },
  )

  it.runIf(isFull)(`does not wait for ever for the ledger either ${inFullForm}`, async () => {
    const { plan, act } = await prepare()
    const before = await people()
    const other = await session(database, 'holder')
    await other.query(`BEGIN; SELECT FROM taskmaster_reset.runs WHERE run_id = '${plan.runId}' FOR UPDATE`)
    expect(await endOf(act(configured(clients, { LOCK_TIMEOUT_MS: 250 })))).toBe('DatabaseBusy')
    await other.query('ROLLBACK')
    expect(await people()).toBe(before)
  })

  it.runIf(isFull)(`acts once when it is started twice at the same moment ${inFullForm}`, async () => {
    const { act } = await prepare()
    const [one, other] = await Promise.all([act(), act()])
    expect(one).toEqual(other)
    expect(await people()).toBe(rowsAfter)
  })

  asBoth(
    'begins again when its row in the ledger is written in the moment in which it locks it',
    async () => {
      const { plan, act } = await prepare()
      const other = await session(database, 'a sign of life')
      let fences = 0
      const connect = async () => {
        const connection = await clients.connect()
        const query = connection.query.bind(connection) as (...given: unknown[]) => Promise<unknown>
        const late = async (...given: unknown[]) => {
          const isFence = JSON.stringify(given[0]).includes('FOR UPDATE OF r')
          if (!isFence || ++fences !== 2) return query(...given) // the first is before any lock
          await other.query(
            `BEGIN; UPDATE taskmaster_reset.runs SET heartbeat_at = now() WHERE run_id = '${plan.runId}'`,
          )
          await query('SET LOCAL lock_timeout = 0') // until it was seen that it waits
          // Refused by that COMMIT, before who says it hears of its end.
          const [answer] = await Promise.all([query(...given), commitBehind(other)])
          return answer
        }
        return Object.assign(connection, { query: late })
      }
      const commitBehind = async (session: typeof other) => {
        await expect.poll(() => waiting(database)).toBe(1)
        await session.query('COMMIT')
      }
      await act({ ...clients, connect } as Clients)
      expect(fences).toBe(3)
      expect(await people()).toBe(rowsAfter)
    },
  )

  it.runIf(isFull)(`names a prepared transaction that holds a lock, in time ${inFullForm}`, async () => {
    const { plan, act } = await prepare()
    const before = await people()
    const gid = `job ${plan.runId}`
    await database.sql.query(`BEGIN; INSERT INTO app.people VALUES (88, 'x'); PREPARE TRANSACTION '${gid}'`)
    try {
      const started = performance.now()
      const error = await act(configured(clients, { LOCK_TIMEOUT_MS: 600 })).catch((reason: Error) => reason)
      expect(performance.now() - started).toBeLessThan(clients.config.LOCK_TIMEOUT_MS) // that of all others
      expect(error).toBeInstanceOf(DatabaseBusy)
      expect((error as Error).message).toContain(`the prepared transaction '${gid}'`)
      expect((error as Error).message).toContain('holds people')
    } finally {
      await database.sql.query(`ROLLBACK PREPARED '${gid}'`)
    }
    expect(await people()).toBe(before)
  })
})

/** The clients of the stack start executions that nobody runs: cancelling finds none to stop. */
async function cancelled(plan: Plan) {
  const ended = await cancelRun(clients, { runId: plan.runId, by: 'a test' }).catch((error: Error) => error)
  if (ended instanceof Error && ended.name !== 'StoreUnavailable') throw ended
  return rowOf(plan)
}

/** Holds the part that a wipe or a restore writes under its locks, or another one, as an S3 does that says nothing; released at the end of the test. */
async function withSilentS3<Result>(
  use: (held: Promise<void>, release: () => void) => Promise<Result>,
  what = '/late-',
): Promise<Result> {
  const reached = Promise.withResolvers<void>()
  const released = Promise.withResolvers<void>()
  front.faults.push(async ({ method, key }) => {
    if (method !== 'PUT' || !key.includes(what)) return undefined
    reached.resolve()
    await released.promise
    return undefined
  })
  try {
    return await use(reached.promise, released.resolve)
  } finally {
    released.resolve()
  }
}

const through = (budget: number, silenceMs: number) => {
  const own = configured(clients, { AWS_ENDPOINT_URL_S3: front.url, LOCK_BUDGET_MS: budget })
  const s3 = makeS3(own.config, silenceMs)
  return { ...own, ...bucketsOf(own.config, s3) }
}

/** Schema `green` has tables of the same names, which are in no backup. */
const makeGreen = () =>
  database.sql.query(`CREATE SCHEMA green; CREATE TABLE green.people (LIKE app.people INCLUDING ALL);
    CREATE TABLE green.zoo (LIKE app.zoo INCLUDING ALL); INSERT INTO green.people SELECT g, 'in no backup' FROM generate_series(1, 60) g`)
/** As a deployment does. */
const exchange = 'ALTER SCHEMA app RENAME TO blue; ALTER SCHEMA green RENAME TO app'
const exchangeBack = 'ALTER SCHEMA app RENAME TO green; ALTER SCHEMA blue RENAME TO app'
const dropOthers = () =>
  database.sql.query('DROP SCHEMA IF EXISTS blue CASCADE; DROP SCHEMA IF EXISTS green CASCADE')

/** Says `statement` as another session while `act` is held at S3. */
function meanwhile(statement: string, act: () => Promise<unknown>, held: string): Promise<string> {
  return withSilentS3(async (reached, release) => {
    const acting = endOf(act())
    await Promise.race([reached, acting])
    const deploying = await session(database, 'deployment')
    await deploying.query(statement)
    release()
    return await acting
  }, held)
}

async function withSchemasExchanged(act: () => Promise<unknown>, held: string): Promise<void> {
  await makeGreen()
  const before = await people()
  try {
    expect(await meanwhile(exchange, act, held)).toBe('BackupIsStale')
    expect(await people()).toBe(60)
    await database.sql.query(exchangeBack)
    expect(await people()).toBe(before)
  } finally {
    await dropOthers()
  }
}

/** Clients that do something before a statement is sent, counted over all their connections. */
function meeting(meet: (statement: string, at: number, connection: Connection) => Promise<unknown>): Clients {
  let at = 0
  const connect = async () => {
    const connection = await clients.connect()
    const query = connection.query.bind(connection) as (...given: unknown[]) => unknown
    return Object.assign(connection, {
      query: (...given: unknown[]) => {
        const [first] = given as [string | { text?: string }]
        const statement = typeof first === 'string' ? first : first.text
        // A stream of COPY is given back as it is, and not a promise of it.
        if (statement === undefined) return query(...given)
        at++
        return meet(statement, at, connection).then(() => query(...given))
      },
    })
  }
  return { ...clients, connect }
}

describe('a schema that is renamed while its tables are locked', () => {
  it.each(steps.slice(0, isFull ? undefined : 1))(
    'undoes what a %s did: its tables’ names mean others by then',
    async (_, __, rowsAfter, prepare) => {
      const { plan, act } = await prepare()
      expect(await people()).not.toBe(rowsAfter)
      const { tables: backedUp } = await readBackup(clients, plan.backupId!)
      await database.sql.query(`UPDATE app.people SET name = 'late' WHERE id = 1`)
      await withSchemasExchanged(() => act(through(60_000, 30_000)), '/late-')
      // Without the ledger the highest late file would count.
      expect(await readBackup(clients, plan.backupId!)).toMatchObject({ attempt: 0, tables: backedUp })
    },
  )

  it.each(steps.slice(0, isFull ? undefined : 1))(
    'is what a %s tells, whatever it showed as when it came before any statement',
    async (does, _, rowsAfter, prepare) => {
      await database.sql.query('ALTER TABLE app.zoo ADD keeper int REFERENCES app.people')
      await makeGreen()
      const { plan, act } = await prepare()
      await database.sql.query(`UPDATE app.people SET name = 'late' WHERE id = 1`)
      const before = await people()
      let met: string | undefined
      try {
        // Each fifth, and the last: what it shows as is the same for many in a row. The short form has two of them.
        for (let at = 1; met !== 'COMMIT'; at += 5) {
          met = undefined
          const isNext = (statement: string, number: number) =>
            statement === 'COMMIT' || (isFull ? number >= at : at === 1 && statement.startsWith('TRUNCATE'))
          const own = meeting(async (statement, number) => {
            if (met !== undefined || !isNext(statement, number)) return
            met = statement
            await database.sql.query(exchange)
          })
          const ended = await endOf(act(own))
          expect(met, 'it ended without a COMMIT').toBeDefined()
          await database.sql.query(exchangeBack)
          expect(ended, `before ${met}`).toBe(met === 'COMMIT' ? 'done' : 'BackupIsStale')
          expect(await people(), `before ${met}`).toBe(met === 'COMMIT' ? rowsAfter : before)
          const { rows } = await database.sql.query('SELECT count(*)::int AS rows FROM green.people')
          expect(rows, `before ${met}`).toEqual([{ rows: 60 }])
          if (does === 'restore' && met !== 'COMMIT') await load(clients, plan)
        }
      } finally {
        await dropOthers()
      }
    },
    300_000,
  )

  it.runIf(isFull)(
    `is not told of a wipe whose answer to COMMIT was lost: it is done ${inFullForm}`,
    async () => {
      const plan = await aBackup()
      await makeGreen()
      try {
        const own = meeting(async (statement, _, connection) => {
          if (statement !== 'COMMIT') return
          const { rows } = await connection.query('SELECT pg_backend_pid() AS pid')
          await connection.query('COMMIT AND CHAIN')
          const broken = new Promise<void>((resolve) => connection.once('end', resolve))
          await database.admin.query('SELECT pg_terminate_backend($1)', [rows[0]?.pid])
          await broken
          await database.sql.query(exchange)
          throw new Error('read ECONNRESET') // what the network says of it, and not the server
        })
        expect(await endOf(wipeDatabase(own, databaseOf(plan)))).toBe('Error')
        await database.sql.query(exchangeBack)
        expect(await people()).toBe(0)
        await wipeDatabase(clients, databaseOf(plan))
      } finally {
        await dropOthers()
      }
    },
  )

  it.runIf(isFull).each(steps)(
    `that is given other rights, or renamed and back, while a %s has its tables locked costs no attempt ${inFullForm}`,
    async (_, __, rowsAfter, prepare) => {
      for (const statement of [
        'GRANT USAGE ON SCHEMA app TO PUBLIC',
        'ALTER SCHEMA app RENAME TO away; ALTER SCHEMA away RENAME TO app',
      ]) {
        const { act } = await prepare()
        await database.sql.query(`UPDATE app.people SET name = name || ' late' WHERE id = 1`)
        expect(await meanwhile(statement, () => act(through(60_000, 30_000)), '/late-'), statement).toBe(
          'done',
        )
        expect(await people()).toBe(rowsAfter)
        await database.sql.query(
          `INSERT INTO app.people SELECT g, 'again' FROM generate_series(1, 50) g ON CONFLICT DO NOTHING`,
        )
      }
    },
  )

  it('undoes a wipe that would let the sequence of a kept table start again, which has the name by then', async () => {
    await database.sql.query(`CREATE SEQUENCE app.goes; CREATE SEQUENCE app.stays;
      ALTER TABLE app.people ADD n int DEFAULT nextval('app.goes'); ALTER TABLE app.zoo ADD n int DEFAULT nextval('app.stays');
      SELECT setval('app.goes', 7), setval('app.stays', 900)`)
    clients = configured(clients, { PRESERVE_TABLES: ['app.zoo'] })
    const plan = await aBackup()
    let met = false
    // Behind the moment that the transaction sees, and before it reads where the sequences stand: a rename would wait from then on.
    const own = meeting(async (statement) => {
      if (met || !statement.includes('may_truncate')) return
      met = true
      await database.sql.query(
        'ALTER SEQUENCE app.goes RENAME TO away; ALTER SEQUENCE app.stays RENAME TO goes; ALTER SEQUENCE app.away RENAME TO stays',
      )
    })
    expect([await endOf(wipeDatabase(own, databaseOf(plan))), met]).toEqual(['BackupIsStale', true])
    const { rows } = await database.sql.query(
      'SELECT s.last_value::int AS had_goes, g.last_value::int AS had_stays FROM app.stays s, app.goes g',
    )
    expect(rows).toEqual([{ had_goes: 7, had_stays: 900 }])
  })

  it('leaves sequences as they stand that have the names by then, which no rollback takes back', async () => {
    const made = (schema: string, m: number, n: number) =>
      database.sql.query(
        `CREATE SEQUENCE ${schema}.m; CREATE SEQUENCE ${schema}.n; SELECT setval('${schema}.m', ${m}), setval('${schema}.n', ${n})`,
      )
    await made('app', 7, 8)
    const { swap } = await aRestore()
    await makeGreen()
    await made('green', 900, 901)
    try {
      let met = false
      const own = meeting(async (statement) => {
        if (met || !statement.includes('setval')) return
        met = true
        await database.sql.query(exchange)
      })
      expect([await endOf(swap(own)), met]).toEqual(['BackupIsStale', true])
      const { rows } = await database.sql.query(
        'SELECT m.last_value::int AS m, n.last_value::int AS n FROM app.m, app.n',
      )
      expect(rows).toEqual([{ m: 900, n: 901 }])
    } finally {
      await database.sql.query(exchangeBack)
      await dropOthers()
    }
  })

  it('and back, after the rows were compared, has them compared again, also where only tables lie in it that are kept', async () => {
    await database.sql.query('CREATE SCHEMA lasting; CREATE TABLE lasting.notes (id int)')
    try {
      const both = { DATABASE_SCHEMAS: ['app', 'lasting'] }
      const plan = await planReset(configured(clients, both), { tables: ['lasting.notes'] })
      await backUp(configured(clients, both), plan)
      let emptied = 0
      const own = meeting(async (statement) => {
        if (!statement.startsWith('TRUNCATE') || ++emptied > 1) return
        await database.sql.query('ALTER SCHEMA lasting RENAME TO away; ALTER SCHEMA away RENAME TO lasting')
      })
      await wipeDatabase(configured(own, both), databaseOf(plan))
      expect(emptied).toBe(2)
    } finally {
      await database.sql.query('DROP SCHEMA lasting CASCADE')
    }
  })

  it('ends an export, which would have some rows of the one and some of the other; rights given on it do not', async () => {
    const exporting = async () => backUp(through(60_000, 30_000), await planReset(clients))
    await withSchemasExchanged(exporting, '/database/')
    expect(await meanwhile('GRANT USAGE ON SCHEMA app TO PUBLIC', exporting, '/database/')).toBe('done')
  })
})

describe('a type that is altered while its tables are locked', () => {
  const types = `CREATE TYPE app.mood AS ENUM ('glad', 'sad'); CREATE TYPE app.place AS (street int, house int);
    CREATE FUNCTION app.to_json(app.mood) RETURNS json LANGUAGE sql IMMUTABLE AS $$ SELECT '"sad"'::json $$;
    ALTER TABLE app.people ADD mood app.mood DEFAULT 'glad', ADD places app.place[] DEFAULT '{"(1,2)"}'`
  const alterations = [
    ['a label gets another name', `ALTER TYPE app.mood RENAME VALUE 'glad' TO 'merry'`],
    ['an attribute is added', 'ALTER TYPE app.place ADD ATTRIBUTE floor int'],
    ['there is a cast to json', 'CREATE CAST (app.mood AS json) WITH FUNCTION app.to_json(app.mood)'],
  ] as const

  it.each(steps.slice(0, isFull ? undefined : 1))(
    'undoes what a %s did: no snapshot has what its values are written as',
    async (_, __, rowsAfter, prepare) => {
      for (const [what, statement] of isFull ? alterations : alterations.slice(2)) {
        await database.sql.query(`DROP SCHEMA app CASCADE; CREATE SCHEMA app; CREATE TABLE app.people (id int PRIMARY KEY, name text);
          INSERT INTO app.people SELECT g, 'person ' || g FROM generate_series(1, 50) g; ${types}`)
        const { plan, act } = await prepare()
        await database.sql.query(`UPDATE app.people SET name = 'late' WHERE id = 1`)
        const before = await people()
        expect(before).not.toBe(rowsAfter)
        const { tables } = await readBackup(clients, plan.backupId!)
        let met = false
        // Behind the moment that the transaction sees, and before what was written since is added to the backup.
        const own = meeting(async (text) => {
          if (met || !text.includes('may_truncate')) return
          met = true
          await database.sql.query(statement)
        })
        expect([await endOf(act(own)), met], what).toEqual(['BackupIsStale', true])
        expect(await people(), what).toBe(before)
        expect(await readBackup(clients, plan.backupId!), what).toMatchObject({ attempt: 0, tables })
      }
    },
  )

  it('ends an export, which would have rows with either text; a label that is added does not', async () => {
    await database.sql.query(types)
    const exporting = async () => backUp(through(60_000, 30_000), await planReset(clients))
    expect(
      await meanwhile(`ALTER TYPE app.mood ADD VALUE 'calm' BEFORE 'sad'`, exporting, '/database/'),
    ).toBe('done')
    for (const [what, statement] of isFull ? alterations : alterations.slice(0, 1))
      expect(await meanwhile(statement, exporting, '/database/'), what).toBe('BackupIsStale')
  })
})

it('a restore does not empty a column that came since its safety backup, in which it is not: it begins again', async () => {
  const { swap } = await aRestore()
  await database.sql.query(
    `ALTER TABLE app.people ADD since text; UPDATE app.people SET since = 'in no backup'`,
  )
  expect(await endOf(swap())).toBe('BackupIsStale')
  const { rows } = await database.sql.query('SELECT count(since)::int AS rows FROM app.people')
  expect(rows).toEqual([{ rows: 51 }])
})

describe('a wipe that has its locks', () => {
  /** Lets a writer of the application through, and not only when the server by itself ends whoever is idle, after 30 s. */
  async function expectThrough(writer: pg.Client): Promise<void> {
    const started = performance.now()
    await writer.query(`INSERT INTO app.people VALUES (1000, 'waited')`)
    expect(performance.now() - started).toBeLessThan(12_000)
  }

  it.runIf(isFull)(
    `gives them back when S3 says nothing for as long as the budget is, and says so ${inFullForm}`,
    async () => {
      const plan = await aBackup()
      await database.sql.query(`UPDATE app.people SET name = 'late' WHERE id = 1`)
      const writer = await session(database, 'writer')
      await withSilentS3(async (held) => {
        const wiping = wipeDatabase(through(5000, 2000), databaseOf(plan)).catch((error: Error) => error)
        await Promise.race([held, wiping])
        await expectThrough(writer)
        const error = await wiping
        expect(error).toBeInstanceOf(DatabaseBusy)
        expect((error as Error).message).toMatch(/were locked for \d+ ms, and LOCK_BUDGET_MS=5000 /)
      })
      expect(await people()).toBe(51)
      expect((await readBackup(clients, plan.backupId!)).attempt).toBe(0)
    },
  )

  it.runIf(isFull).each(['SIGSTOP', 'SIGKILL'] as const)(
    `lets the application go on when its process gets %s, and the next one wipes ${inFullForm}`,
    async (signal) => {
      const plan = await aBackup()
      await database.sql.query(`UPDATE app.people SET name = 'late' WHERE id = 1`)
      const writer = await session(database, 'writer')
      await withSilentS3(async (held) => {
        const child: ChildProcess = spawn(
          process.execPath,
          [fileURLToPath(new URL('./wipe-child.ts', import.meta.url)), plan.runId],
          {
            env: {
              ...process.env,
              ...{ DATABASE_SCHEMAS: 'app', LOCK_BUDGET_MS: '5000', LOG_LEVEL: 'SILENT' },
              AWS_ENDPOINT_URL_S3: front.url,
            },
            stdio: 'ignore',
          },
        )
        const gone = once(child, 'exit')
        try {
          await Promise.race([held, gone])
          expect(child.exitCode, 'it has not come to its late part').toBeNull()
          child.kill(signal)
          await expectThrough(writer)
        } finally {
          child.kill('SIGKILL')
          await gone
        }
      })
      expect(await people()).toBe(51)
      front.faults = []
      // The next run would wait until a process that was killed cannot be alive any more.
      await database.sql.query('DELETE FROM taskmaster_reset.invocations')
      await wipeDatabase(clients, databaseOf(plan))
      expect(await people()).toBe(0)
    },
  )

  it('ends a statement that takes longer than the budget: DatabaseBusy with the figures', async () => {
    const plan = await aBackup()
    // Postgres calls the function for each row that is kept.
    await database.sql.query(`CREATE FUNCTION app.slow(int) RETURNS boolean LANGUAGE plpgsql AS
      $$ BEGIN PERFORM pg_sleep(0.2); RETURN false; END $$`)
    const slow = { ...plan, preserve: { ...plan.preserve, rows: { people: 'app.slow(id)' } } }
    await enter(plan, 'Wipe database')
    const error = await wipeDatabase(configured(clients, { LOCK_BUDGET_MS: 500 }), databaseOf(slow)).catch(
      (e: Error) => e,
    )
    expect(error).toBeInstanceOf(DatabaseBusy)
    expect((error as Error).message).toMatch(/were locked for \d+ ms, and LOCK_BUDGET_MS=500 /)
    expect(await people()).toBe(50)
    // Until the step is repeated nothing is changed: who is in a hurry calls the run off.
    const row = await withConnection(clients, (connection) => readRun(connection, plan.runId))
    expect(row.waiting).toBe('waiting for another try: the tables were locked, and given back unchanged')
    expect(await cancelRun(clients, { runId: plan.runId, by: 'a test' })).toMatchObject({
      status: 'cancelled',
    })
  })

  it.runIf(isFull)(
    `gives them back when a lock that it needs later is refused, says so, and begins again ${inFullForm}`,
    async () => {
      await database.sql.query('ALTER TABLE app.zoo ADD number serial')
      const plan = await aBackup()
      const [other, writer] = [await session(database, 'holds a sequence'), await session(database, 'writer')]
      await other.query(`BEGIN; SELECT nextval('app.zoo_number_seq')`)
      const wiping = endOf(wipeDatabase(clients, databaseOf(plan)))
      await expect
        .poll(async () => (await rowOf(plan)).waiting)
        .toMatch(/^waiting for a lock that was refused while the tables were locked: \S/)
      await expectThrough(writer)
      await other.query('COMMIT')
      expect(await wiping).toBe('done')
      expect(await people()).toBe(0)
    },
  )

  it.runIf(isFull)(
    `gives them back, and begins again a few times only, when code of the application fails as if it had met a writer ${inFullForm}`,
    async () => {
      const plan = await aBackup()
      await database.sql.query(`CREATE SEQUENCE public.tries; CREATE FUNCTION app.unlucky(int) RETURNS boolean LANGUAGE plpgsql AS
      $$ BEGIN PERFORM nextval('public.tries'); RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END $$`)
      try {
        const planned = { ...plan, preserve: { ...plan.preserve, rows: { people: 'app.unlucky(id)' } } }
        expect(await endOf(wipeDatabase(clients, databaseOf(planned)))).toBe('DatabaseBusy')
        const { rows } = await database.sql.query(`SELECT last_value::int AS tries FROM public.tries`)
        expect(rows).toEqual([{ tries: 3 }])
        expect(await people()).toBe(50)
      } finally {
        await database.sql.query('DROP SEQUENCE public.tries')
      }
    },
  )

  it('is the budget of all statements together, of which each is short', async () => {
    const { runId } = await aBackup()
    const own = configured(clients, { LOCK_BUDGET_MS: 300 })
    await withConnection(own, async (connection) => {
      const work = whileLocked(
        own,
        connection,
        { runId, locks: { exclusive: [], shared: [] } },
        async (within) => {
          for (let statement = 0; statement < 20; statement++) await within.query('SELECT pg_sleep(0.1)')
        },
      )
      await expect(work).rejects.toThrow(/were locked for \d+ ms, and LOCK_BUDGET_MS=300 /)
      await connection.query('ROLLBACK')
    })
  })

  it('cannot be cancelled any more', async () => {
    const plan = await aBackup()
    await enter(plan, 'Wipe database')
    await database.sql.query(`UPDATE app.people SET name = 'late' WHERE id = 1`)
    await withSilentS3(async (held, release) => {
      const wiping = endOf(wipeDatabase(through(60_000, 30_000), databaseOf(plan)))
      await held
      const cancelling = cancelRun(clients, { runId: plan.runId, by: 'a test' })
      await expect(cancelling).rejects.toThrow(TooLateToCancel)
      await expect(cancelling).rejects.toThrow(/is in the step "Wipe database"/)
      release()
      expect(await wiping).toBe('done')
      expect(await people()).toBe(0)
    })
  })
})

describe('an export of several connections', () => {
  it('lets a migration pass that asks for its lock after the first connection has its own', async () => {
    // The second connection comes late: it is the network that is slow.
    let connections = 0
    let migrating: Promise<unknown> = Promise.resolve()
    const migration = await session(database, 'migration')
    const connect = async () => {
      const isSecond = connections++ === 1
      const connection = await database.clients.connect()
      if (!isSecond) return connection
      const query = connection.query.bind(connection)
      let isFirst = true
      return Object.create(connection, {
        query: {
          value: async (...statement: Parameters<typeof query>) => {
            if (isFirst) {
              isFirst = false
              migrating = migration.query('ALTER TABLE app.people ADD COLUMN age int')
              await expect
                .poll(async () => {
                  const found = await database.admin.query(
                    `SELECT FROM pg_locks WHERE relation = 'app.people'::regclass AND NOT granted`,
                  )
                  return found.rowCount
                })
                .toBe(1)
            }
            return query(...statement)
          },
        },
      })
    }
    // Who waited for the migration, and it for him, would do so for ten minutes.
    const patient = configured({ ...clients, connect } as Clients, { LOCK_TIMEOUT_MS: 600_000 })
    await withSnapshot(patient, [{ schema: 'app', table: 'people' }], 2, async (both) => {
      await migrating
      for (const one of both) await one.query('SELECT age FROM app.people LIMIT 1')
    })
  })

  it.runIf(isFull)(
    `ends in DatabaseBusy in time when that migration does not end ${inFullForm}`,
    async () => {
      const migration = await session(database, 'migration')
      await migration.query('BEGIN; ALTER TABLE app.people ADD COLUMN age int')
      const started = performance.now()
      const own = configured(clients, { LOCK_TIMEOUT_MS: 500 })
      await expect(
        withSnapshot(own, [{ schema: 'app', table: 'people' }], 2, async () => {}),
      ).rejects.toThrow(/In the way: process \d+ \(.*"migration".* holds people/)
      expect(performance.now() - started).toBeLessThan(clients.config.LOCK_TIMEOUT_MS) // that of all others
    },
  )
})

it("who is in the way is told by how long he has been at it; readers are in nobody's way who only reads", async () => {
  const [first, second] = [await session(database, 'first'), await session(database, 'second')]
  await first.query('BEGIN; SELECT FROM app.zoo')
  await second.query('BEGIN; SELECT FROM app.people')
  const names = ['people', 'zoo'].map((table) => ({ schema: 'app', table }))
  const find = (exclusive: boolean) =>
    withConnection(clients, (connection) =>
      findHolders(
        connection,
        names.map((name) => ({ ...name, exclusive })),
      ),
    )
  const { told, tables } = await find(true)
  expect(told).toMatch(/^process .*"first".* holds zoo; process .*"second".* holds people$/)
  expect(tables).toEqual([1, 0])
  expect(await find(false)).toEqual({ told: 'nobody any more', tables: [] })
})

describe('the scratch schema', () => {
  const tablesOf = async (schema: string) =>
    (
      await database.admin.query(
        `SELECT format('%I.%I', n.nspname, c.relname) AS name, c.relpersistence AS persistence
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind = 'r' ORDER BY 1`,
        [schema],
      )
    ).rows

  it('is UNLOGGED, so that no publication sends it to a subscriber', async () => {
    await database.admin.query('CREATE PUBLICATION everything FOR ALL TABLES')
    try {
      const { plan } = await aRestore()
      const tables = await tablesOf(scratchSchemaOf(plan.runId))
      expect(tables.map(({ persistence }) => persistence)).toEqual(['u', 'u', 'u', 'u', 'u'])
      const published = await database.admin.query(
        `SELECT DISTINCT schemaname FROM pg_publication_tables WHERE pubname = 'everything' ORDER BY 1`,
      )
      expect(published.rows.map(({ schemaname }) => schemaname)).toEqual(['app', 'taskmaster_reset'])
    } finally {
      await database.admin.query('DROP PUBLICATION everything')
    }
  })

  it('is the role’s alone, whatever its default privileges give to others, and none that another role has made', async () => {
    const outsider = `outsider_of_${new URL(database.env.DATABASE_URL ?? '').pathname.slice(1)}`
    const given = (what: 'GRANT ALL' | 'REVOKE ALL') =>
      database.sql.query(`ALTER DEFAULT PRIVILEGES ${what} ON SCHEMAS ${what === 'GRANT ALL' ? 'TO' : 'FROM'} PUBLIC, ${outsider};
        ALTER DEFAULT PRIVILEGES ${what} ON TABLES ${what === 'GRANT ALL' ? 'TO' : 'FROM'} PUBLIC`)
    await database.admin.query(`CREATE ROLE ${outsider}`)
    await given('GRANT ALL')
    const asOutsider = async (statement: string) => {
      await database.admin.query(`SET ROLE ${outsider}`)
      try {
        return await endOf(database.admin.query(statement))
      } finally {
        await database.admin.query('RESET ROLE')
      }
    }
    try {
      const { plan } = await aRestore()
      const [{ name }] = (await tablesOf(scratchSchemaOf(plan.runId))).filter(({ name }) =>
        /looked/.test(name),
      )
      expect(await asOutsider(`INSERT INTO ${name} VALUES ('app.people', '{}')`)).toBe('error')
      expect(await asOutsider(`SELECT FROM ${name}`)).toBe('error')
      const ensure = () =>
        withConnection(clients, (connection) => ensureScratch(connection, { runId: 'theirs', tables: [] }))
      await database.admin.query(`CREATE SCHEMA ${scratchSchemaOf('theirs')} AUTHORIZATION ${outsider};
        GRANT ALL ON SCHEMA ${scratchSchemaOf('theirs')} TO PUBLIC`)
      await expect(ensure()).rejects.toThrow(`was made by the role ${outsider}`)
    } finally {
      await given('REVOKE ALL')
      await database.admin.query(`DROP OWNED BY ${outsider} CASCADE; DROP ROLE ${outsider}`)
    }
  })

  it.runIf(isFull)(
    `is made by one function after the other: a table that another makes meanwhile is waited for ${inFullForm}`,
    async () => {
      const tables = (await backUp(clients, await planReset(clients))).database?.tables ?? []
      const name = scratchSchemaOf('two')
      const other = await session(database, 'other')
      let ended: Promise<unknown> | undefined
      await withConnection(clients, async (connection) => {
        const query = connection.query.bind(connection) as (
          text: string,
          values?: unknown[],
        ) => Promise<unknown>
        const beside = async (text: string, values?: unknown[]) => {
          const answer = await query(text, values)
          if (ended !== undefined || !text.includes(`ORDER BY c.relname <> 'loaded'`)) return answer
          // The other one has looked as well, came first to what was missing, and is not done yet.
          await other.query(`BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('"${name}"', 0));
          CREATE UNLOGGED TABLE ${name}.t${tables[0]?.oid} AS SELECT FROM app.people WITH NO DATA`)
          ended = new Promise((resolve) => setTimeout(resolve, 300)).then(() => other.query('COMMIT'))
          return answer
        }
        await ensureScratch(Object.assign(connection, { query: beside }), { runId: 'two', tables })
        await ended
      })
      expect(ended).toBeDefined()
      expect(await tablesOf(name)).toHaveLength(tables.length + 3) // loaded, spared and looked are its own
    },
  )

  it.runIf(isFull)(
    `that a restart of the server has emptied ends the restore by that name, and a repeat loads it again ${inFullForm}`,
    async () => {
      const { plan, swap } = await aRestore()
      const made = await tablesOf(scratchSchemaOf(plan.runId))
      const names = made.map(({ name }) => name)
      await database.sql.query(`TRUNCATE ${names.join(', ')}`) // as recovery does with all unlogged tables
      await expect(compareBackup(clients, { run: plannedRun(plan), ...restoredBy(plan) })).rejects.toThrow(
        StoreUnavailable,
      )
      expect(await tablesOf(scratchSchemaOf(plan.runId))).toEqual(made) // for the repeat
      await expect(swap()).rejects.toThrow(/database was restarted in between/)
      expect(await people()).toBe(51)
      await load(clients, plan)
      await compareBackup(clients, { run: plannedRun(plan), ...restoredBy(plan) })
      await swap()
      expect(await people()).toBe(50)
      expect((await rowOf(plan)).locked.milliseconds).toBeGreaterThan(0)
      // Rows that are others than the backup's will be so at each repeat.
      const loaded = names.find((name) => /\.t\d+$/.test(name))
      await database.sql.query(`INSERT INTO ${loaded} SELECT * FROM ${loaded}`)
      await expect(compareBackup(clients, { run: plannedRun(plan), ...restoredBy(plan) })).rejects.toThrow(
        RehearsalFailed,
      )
      expect(await tablesOf(scratchSchemaOf(plan.runId))).toEqual([])
    },
  )

  it.runIf(isFull)(
    `of a dead run that still holds its tables makes Count give way in time ${inFullForm}`,
    async () => {
      const { plan } = await aRestore()
      const made = await tablesOf(scratchSchemaOf(plan.runId))
      const dead = await session(database, 'dead load')
      await dead.query(`BEGIN; LOCK TABLE ${scratchSchemaOf(plan.runId)}.loaded IN ROW EXCLUSIVE MODE`)
      const started = performance.now()
      await expect(planReset(configured(clients, { LOCK_TIMEOUT_MS: 200 }))).rejects.toThrow(DatabaseBusy)
      expect(performance.now() - started).toBeLessThan(14_000) // less than a run's own tables are waited for
      await dead.query('ROLLBACK')
      await withConnection(clients, (connection) => dropLeftovers(connection, plan.runId))
      expect(await tablesOf(scratchSchemaOf(plan.runId))).toEqual(made) // a run's own is none
      await planReset(clients)
      expect(await tablesOf(scratchSchemaOf(plan.runId))).toEqual([])
    },
  )

  it.runIf(isFull)(
    `is filled from nowhere when the role may put no rows into the live table: refused beforehand, by its name ${inFullForm}`,
    async () => {
      const backedUp = await aBackup()
      const owner = (await database.sql.query('SELECT quote_ident(current_user) AS role')).rows[0].role
      await database.sql.query(`REVOKE INSERT ON app.zoo FROM ${owner}`)
      const says = `may put no rows into app.zoo, so a restore could not fill it. Nothing was touched; GRANT INSERT ON app.zoo TO ${owner}`
      for (const plan of [() => planRestore(clients, backedUp.backupId), () => planReset(clients)]) {
        const planning = plan()
        await expect(planning).rejects.toThrow(NotPermitted)
        await expect(planning).rejects.toThrow(says)
      }
      const keeping = await planReset(clients, { tables: ['app.zoo'] })
      expect(keeping.warnings).toContainEqual({
        code: 'NotRestorable',
        message: expect.stringContaining(`the role may put no rows into app.zoo (GRANT INSERT to ${owner})`),
      })
      await database.sql.query(`GRANT INSERT (id) ON app.zoo TO ${owner}`)
      await planRestore(clients, backedUp.backupId)
    },
  )

  it('that an event trigger would not let go is refused beforehand, by the name of the trigger', async () => {
    const backedUp = await aBackup()
    const scratch = `SELECT nspname FROM pg_namespace WHERE nspname LIKE 'taskmaster_scratch_%'`
    const before = (await database.admin.query(scratch)).rows
    await database.admin.query(`CREATE FUNCTION public.no_drop() RETURNS event_trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'dropping is forbidden here'; END $$;
      CREATE EVENT TRIGGER no_drop ON sql_drop EXECUTE FUNCTION public.no_drop();
      CREATE EVENT TRIGGER disabled ON sql_drop EXECUTE FUNCTION public.no_drop(); ALTER EVENT TRIGGER disabled DISABLE`)
    try {
      const planning = planRestore(clients, backedUp.backupId)
      await expect(planning).rejects.toThrow(NotPermitted)
      await expect(planning).rejects.toThrow(/event triggers no_drop/)
      const trying = withConnection(clients, (connection) => checkScratchAllowed(connection, 'a run'))
      await expect(trying).rejects.toThrow(NotPermitted)
      await expect(trying).rejects.toThrow(/event triggers no_drop \(SQLSTATE P0001/)
      await database.admin.query('ALTER EVENT TRIGGER no_drop DISABLE')
      await withConnection(clients, (connection) => checkScratchAllowed(connection, 'a run'))
      await database.admin.query('ALTER EVENT TRIGGER no_drop ENABLE')
      expect((await database.admin.query(scratch)).rows).toEqual(before)
      // What a dead run left cannot be dropped, either.
      await database.sql.query('CREATE SCHEMA taskmaster_scratch_dead')
      const again = planReset(clients)
      await expect(again).rejects.toThrow(NotPermitted)
      await expect(again).rejects.toThrow(/event triggers no_drop/)
    } finally {
      await database.admin.query(
        'DROP EVENT TRIGGER no_drop; DROP EVENT TRIGGER disabled; DROP FUNCTION public.no_drop()',
      )
    }
  })
})

describe('the locks that one transaction needs', () => {
  const server = { perTransaction: 64, connections: 100, prepared: 0 }
  const need = { tables: 1000, belongings: 3000, sequences: 400, scratch: 2000 }

  it.each([
    ['fits exactly', need, server],
    [
      'fits because prepared transactions are counted',
      { ...need, scratch: 2064 },
      { ...server, prepared: 1 },
    ],
    ['is a wipe', { ...need, scratch: 0 }, server],
  ])('what %s is allowed', (_, wanted, settings) => {
    expect(checkLockNeed({ does: 'The restore', reads: false }, wanted, settings)).toEqual([])
  })

  it('one more is refused with the figures, and with the setting that would do', () => {
    const one = () => checkLockNeed({ does: 'The restore', reads: false }, { ...need, scratch: 2001 }, server)
    expect(one).toThrow(LimitExceeded)
    expect(one).toThrow(
      'The restore needs 6401 locks in one transaction (1000 tables, 3000 of their indexes and TOAST tables, 400 sequences, 2001 for the copies that are loaded), and the server has room for 6400: max_locks_per_transaction (64) × (max_connections (100) + max_prepared_transactions (0))',
    )
    expect(one).toThrow('at least 65 ')
  })

  it('of what only reads are warned of up to twice as many, since a server has a reserve, and refused beyond', () => {
    const asked = { does: 'The backup', reads: true }
    for (const scratch of [2001, 8400]) {
      expect(checkLockNeed(asked, { ...need, scratch }, server)).toEqual([
        { code: 'MayLackLocks', message: expect.stringMatching(/^The backup needs \d+ locks .* 6400: /) },
      ])
    }
    expect(() => checkLockNeed(asked, { ...need, scratch: 8401 }, server)).toThrow(LimitExceeded)
  })

  it('are at least those that the transaction of a wipe holds in the end', async () => {
    await database.sql.query(`CREATE TABLE app.notes (id serial PRIMARY KEY, tag text UNIQUE, body text);
      CREATE INDEX ON app.notes (body); INSERT INTO app.notes (body) VALUES ('x')`)
    const plan = await planReset(clients, { backup: false })
    const tables = plan.database?.tables.map(({ table }) => table) ?? []
    const needed = (reads: boolean) =>
      withConnection(clients, (connection) =>
        readLockNeed(connection, { oids: tables.map(({ oid }) => oid), sequences: 1, reads }),
      )
    const { need: counted } = await needed(false)
    const held = await withConnection(clients, async (connection) => {
      await connection.query(
        `BEGIN; TRUNCATE app.notes, app.people, app.zoo; ALTER SEQUENCE app.notes_id_seq RESTART`,
      )
      const found = await connection.query(
        `SELECT count(DISTINCT relation)::int AS locks FROM pg_locks WHERE pid = pg_backend_pid()
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
         AND relation >= 16384 AND mode <> 'AccessShareLock'`,
      )
      return found.rows[0].locks
    })
    expect(counted).toMatchObject({ tables: 3, sequences: 1, scratch: 0 })
    // A restore makes one index anew, and reads three copies, two of which have a TOAST table with its index.
    expect((await needed(true)).need).toEqual({ ...counted, belongings: counted.belongings + 1, scratch: 7 })
    expect(counted.tables + counted.belongings + counted.sequences).toBeGreaterThanOrEqual(held)
  })
})

describe('the time that tables would be locked', () => {
  const gib = 2 ** 30
  const config = { LOCK_BUDGET_MS: 600_000 }

  it.each([
    ['wipe', 20, null, 'fits'],
    ['wipe', 40, null, 'may not fit'],
    ['wipe', 60, null, 'does not fit'],
    ['restore', 9, null, 'fits'],
    ['restore', 15, null, 'may not fit'],
    ['restore', 25, null, 'does not fit'],
    // The last run here was faster, or slower, than what was measured elsewhere.
    ['restore', 25, gib / 10, 'fits'],
    ['wipe', 20, gib / 40, 'does not fit'],
  ] as const)('of a %s of %d GiB at a last speed of %s: it %s', (work, size, bytesPerSecond, verdict) => {
    expect(estimateLocked({ work, bytes: size * gib, bytesPerSecond }, config).verdict).toBe(verdict)
  })

  it.each([
    [1, 1, 'fits', 'fits'],
    [15, 2, 'may not fit', 'fits'],
    [200, 19, 'may not fit', 'does not fit'],
    [200, 21, 'does not fit', 'does not fit'],
  ] as const)(
    'of a restore of %d GiB of JSON, of which %d GiB are headers of rows: it %s, and %s by the last run',
    (plain, least, verdict, known) => {
      const rows = Math.floor((least * gib) / 28)
      const backedUp = [
        { rows, columns: [], parts: [{ bytes: 1, plain: plain * gib }] },
      ] as unknown as BackedUpTable[]
      const [asked] = lockedWorks({ operation: 'restore', takesBackup: true, bytes: 1, backedUp })
      expect(estimateLocked({ ...asked!, bytesPerSecond: null }, config).verdict).toBe(verdict)
      // Of the last run the same bytes were noted.
      expect(estimateLocked({ ...asked!, bytesPerSecond: gib / 10 }, config).verdict).toBe(known)
    },
  )

  it('is what one invocation has at most, however long the budget', () => {
    const asked = { work: 'wipe', bytes: 100, bytesPerSecond: 100 / 850 } as const
    expect(estimateLocked(asked, { LOCK_BUDGET_MS: 3_600_000 })).toMatchObject({
      limit: 840_000,
      verdict: 'does not fit',
    })
  })

  it('is learned from the last run, and refused before anything is locked or written', async () => {
    const plan = await aBackup()
    await wipeDatabase(clients, databaseOf(plan))
    const { bytes, milliseconds } = (await rowOf(plan)).locked
    expect([bytes, milliseconds > 0]).toEqual([plan.database?.bytes, true])
    expect(bytes).toBeGreaterThan(0)
    await database.sql.query(
      `INSERT INTO app.people SELECT g, repeat('x', 500) FROM generate_series(1, 500) g`,
    )
    // As if it had been much, and slow: ten seconds for each byte.
    await database.sql.query(
      `UPDATE taskmaster_reset.runs SET locked = '{"bytes": 67108864, "milliseconds": 671088640000}' WHERE run_id = $1`,
      [plan.runId],
    )
    // An earlier one was fast, and a later one did so little that it tells nothing.
    await database.sql.query(`INSERT INTO taskmaster_reset.runs SELECT (r).* FROM (
        SELECT jsonb_populate_record(runs, jsonb_build_object('run_id', gen_random_uuid(), 'status', 'failed', 'idempotency_key', gen_random_uuid(), 'started_at', started_at + at,
          'locked', jsonb_build_object('bytes', bytes, 'milliseconds', 1))) AS r
        FROM taskmaster_reset.runs, (VALUES ('-1 day'::interval, 67108864), ('1 second', 67108863)) AS other (at, bytes) WHERE run_id = '${plan.runId}') AS made`)
    const planning = planReset(clients)
    await expect(planning).rejects.toThrow(LimitExceeded)
    await expect(planning).rejects.toThrow(
      /wipe would keep the tables locked for about \d+ s \(\d+ bytes, at the speed of the last run here\), and it has 600 s .*, or raise LOCK_BUDGET_MS$/,
    )
    // A restore of the backup comes later, if ever: that it would take too long is said, and stops nothing.
    await database.sql.query(
      `UPDATE taskmaster_reset.runs SET restored = wiped, wiped = NULL WHERE run_id = $1`,
      [plan.runId],
    )
    expect((await planReset(clients)).warnings).toContainEqual({
      code: 'MayTakeTooLong',
      message: expect.stringMatching(
        /^Restoring the backup would keep the tables locked for about .*what one invocation has\)$/,
      ),
    })
    await database.sql.query('UPDATE taskmaster_reset.runs SET locked = NULL')
    expect((await planReset(clients)).warnings).toEqual([])
    const said = (bytes: number, LOCK_BUDGET_MS: number) =>
      withConnection(clients, (connection) =>
        checkLockedTime(connection, { LOCK_BUDGET_MS }, [{ work: 'wipe', bytes, later: false }]),
      )
    expect(await said(40 * gib, 600_000)).toEqual([
      {
        code: 'MayTakeTooLong',
        message: `The wipe would keep the tables locked for about 900 s (${40 * gib} bytes, as measured elsewhere), and it has 600 s (LOCK_BUDGET_MS, and what one invocation has): it may be given up then, with nothing changed`,
      },
    ])
    await expect(said(90 * gib, 3_600_000)).rejects.toThrow(/, or give the database more cores$/)
  })
})
