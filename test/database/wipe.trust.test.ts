import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import type { Clients } from '../../lib/clients.ts'
import { refreshViews } from '../../lib/database/views.ts'
import { wipeDatabase } from '../../lib/database/wipe/wipe.ts'
import {
  BackupDamaged,
  BackupIncomplete,
  BackupIsStale,
  DatabaseBusy,
  EnvironmentMismatch,
  EnvironmentProtected,
  NotFound,
  PreservationConflict,
  RunLost,
  StoreUnavailable,
} from '../../lib/errors.ts'
import { withConnection } from '../../lib/postgres/with-connection.ts'
import { databaseOf, plannedRun } from '../../lib/run/planning/plan.ts'
import { postgresMajor } from '../support/server-version.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import {
  backUp,
  configured,
  keysBelow,
  linesOf,
  planReset,
  readBackup,
  rowsAsLines,
  session,
  useDatabase,
  waiting,
} from './database-stack.ts'

const database = useDatabase()
let clients: Clients
/** The same, where it is the wipe that has to give way. */
let impatient: Clients

beforeEach(async () => {
  clients = configured(database.clients, { DATABASE_SCHEMAS: ['app'], LOCK_TIMEOUT_MS: 20_000 })
  impatient = configured(clients, { LOCK_TIMEOUT_MS: 250 })
  await database.sql.query(`DROP SCHEMA IF EXISTS app CASCADE; DROP SCHEMA IF EXISTS other CASCADE;
    CREATE SCHEMA app; CREATE SCHEMA other;
    UPDATE taskmaster_reset.environment SET name = 'local', protected = false`)
})

const people = `CREATE TABLE app.people (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text);
  INSERT INTO app.people (name) SELECT repeat('x', 400) || g FROM generate_series(1, 200) g;`

async function count(table: string): Promise<number> {
  return (await database.sql.query(`SELECT count(*)::int AS rows FROM ${table}`)).rows[0].rows
}

/** Everything of a table, with where each row lies and which transaction wrote it. */
async function text(table: string): Promise<string> {
  const answer = await database.sql.query(
    `SELECT string_agg(concat_ws(' ', ctid, xmin, t), E'\\n' ORDER BY ctid) AS text FROM ${table} t`,
  )
  return answer.rows[0].text
}

/** Locks that the product's sessions hold on tables of the application. */
async function locksLeft(): Promise<unknown[]> {
  const answer = await database.admin.query(
    `SELECT l.relation::regclass, l.mode FROM pg_locks l JOIN pg_stat_activity a USING (pid)
     WHERE a.application_name = 'taskmaster-reset' AND a.datname = current_database() AND l.relation > 16384`,
  )
  return answer.rows
}

/** Expects the error and that nothing was wiped or left locked. @returns the error's message */
async function expectNothingWiped(
  wiping: Promise<unknown>,
  error: new (message: string) => Error,
): Promise<string> {
  const ended = wiping.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  const before = await text('app.people')
  const thrown = await ended
  expect(thrown).toBeInstanceOf(error)
  expect(await text('app.people')).toBe(before)
  await expect.poll(locksLeft).toEqual([])
  return (thrown as Error).message
}

describe('a wipe covered by its backup', () => {
  it('empties the tables, restarts their sequences and records the counts in the ledger', async () => {
    await database.sql.query(people)
    const plan = await planReset(clients)
    await backUp(clients, plan)
    const wiped = await wipeDatabase(clients, databaseOf(plan))
    const views = { refreshed: [], stale: [] }
    expect(wiped).toEqual({ rows: 200, tables: { 'app.people': 200 }, lateParts: 0, appeared: [], views })
    expect(await count('app.people')).toBe(0)
    const next = await database.sql.query(`INSERT INTO app.people (name) VALUES ('first') RETURNING id`)
    expect(next.rows[0].id).toBe(1)
    const run = await database.sql.query('SELECT wiped FROM taskmaster_reset.runs WHERE run_id = $1', [
      plan.runId,
    ])
    expect(run.rows[0].wiped).toEqual(wiped)
  })

  it.runIf(isFull)(`adds nothing to the backup when nothing changed ${inFullForm}`, async () => {
    await database.sql.query(people)
    const plan = await planReset(clients)
    await backUp(clients, plan)
    const before = await keysBelow(clients, plan)
    await wipeDatabase(clients, databaseOf(plan))
    expect(await keysBelow(clients, plan)).toEqual(before)
  })

  it('writes late parts for exactly the shards that changed, so that backup and late parts are the rows that went', async () => {
    await database.sql.query(people)
    const plan = await planReset(clients, { pagesPerShard: 3 })
    const { database: held } = await backUp(clients, plan)
    const parts = held?.tables[0]?.parts ?? []
    expect(parts.length).toBeGreaterThan(3)
    await database.sql.query(`DELETE FROM app.people WHERE id = 1;
      INSERT INTO app.people (name) VALUES ('late')`)
    const expected = await rowsAsLines(database.sql, 'app.people')
    const place = await database.sql.query(
      `SELECT (ctid::text::point)[0]::int AS page FROM app.people WHERE name = 'late'`,
    )
    const { page } = place.rows[0]
    const changed = parts.find(({ pages }) => pages.from <= page && (pages.to === null || page < pages.to))
    const wiped = await wipeDatabase(clients, databaseOf(plan))
    const { late, tables } = await readBackup(clients, plan.backupId!)
    expect(late?.tables.map(({ name, parts: ones }) => [name, ones.map(({ shard }) => shard)])).toEqual([
      ['app.people', [0, changed?.shard]],
    ])
    expect(await linesOf(clients, tables[0])).toEqual(expected)
    expect(wiped).toMatchObject({ rows: 200, lateParts: 2 })
    expect(await count('app.people')).toBe(0)
  })

  it.runIf(isFull)(
    `writes late parts for an update, a table that was emptied, and one that was filled ${inFullForm}`,
    async () => {
      // The first is so large that the comparison asks for it alone.
      await database.sql.query(`${people} CREATE TABLE app.gone (id int); INSERT INTO app.gone VALUES (1);
      CREATE TABLE app.filled (id int); CREATE TABLE app.big AS SELECT generate_series(1, 10000) AS id`)
      const plan = await planReset(clients)
      await backUp(clients, plan)
      await database.sql.query(`UPDATE app.people SET name = 'new' WHERE id = 7; DELETE FROM app.gone;
      INSERT INTO app.filled SELECT generate_series(1, 500)`)
      const names = ['app.big', 'app.filled', 'app.gone', 'app.people']
      const expected: string[][] = []
      for (const name of names) expected.push(await rowsAsLines(database.sql, name))
      await wipeDatabase(clients, databaseOf(plan))
      const { tables, late } = await readBackup(clients, plan.backupId!)
      expect(tables.map(({ name }) => name)).toEqual(names)
      expect(await Promise.all(tables.map((table) => linesOf(clients, table)))).toEqual(expected)
      expect(late?.tables.find(({ name }) => name === 'app.gone')?.parts[0]).toMatchObject({
        rows: 0,
        key: null,
      })
    },
  )

  it.runIf(isFull)(
    `holds where the sequences stood, once more when they went on after the backup ${inFullForm}`,
    async () => {
      await database.sql.query(people)
      const plan = await planReset(clients)
      const manifest = await backUp(clients, plan)
      expect(manifest.database?.sequences).toMatchObject([{ name: 'app.people_id_seq', lastValue: '200' }])
      await database.sql.query(`INSERT INTO app.people (name) VALUES ('late')`)
      await wipeDatabase(clients, databaseOf(plan))
      const { late } = await readBackup(clients, plan.backupId!)
      expect(late?.sequences).toMatchObject([{ name: 'app.people_id_seq', lastValue: '201', isCalled: true }])
    },
  )

  it('holds in its late document where the sequences of kept tables stand, too', async () => {
    await database.sql.query(
      `${people} CREATE TABLE app.kept (id serial PRIMARY KEY); INSERT INTO app.kept DEFAULT VALUES`,
    )
    const plan = await planReset(clients, { tables: ['kept'] })
    await backUp(clients, plan)
    await database.sql.query(
      `INSERT INTO app.people (name) VALUES ('late'); SELECT nextval('app.kept_id_seq')`,
    )
    await wipeDatabase(clients, databaseOf(plan))
    const { late } = await readBackup(clients, plan.backupId!)
    expect(late?.sequences).toMatchObject([
      { name: 'app.kept_id_seq', lastValue: '2' },
      { name: 'app.people_id_seq', lastValue: '201' },
    ])
  })

  it.runIf(isFull)(
    `holds kept tables as they were at one moment: no child that was written meanwhile without its parent ${inFullForm}`,
    async () => {
      await database.sql.query(`CREATE TABLE app.a_parent (id int PRIMARY KEY); CREATE TABLE app.going (id int);
      CREATE TABLE app.z_child (id int REFERENCES app.a_parent); INSERT INTO app.going VALUES (1)`)
      const plan = await planReset(clients, { tables: ['a_parent', 'z_child'] })
      await backUp(clients, plan)
      await database.sql.query('INSERT INTO app.a_parent VALUES (1); INSERT INTO app.z_child VALUES (1)')
      const { s3 } = clients.backups
      let puts = 0
      const name = 'writes between two late parts'
      s3.middlewareStack.add(
        (next, context) => async (args) => {
          if (context.commandName === 'PutObjectCommand' && ++puts === 1)
            await database.sql.query(
              'INSERT INTO app.a_parent VALUES (2); INSERT INTO app.z_child VALUES (2)',
            )
          return next(args)
        },
        { step: 'initialize', name },
      )
      try {
        await wipeDatabase(clients, databaseOf(plan))
      } finally {
        s3.middlewareStack.remove(name)
      }
      const { tables } = await readBackup(clients, plan.backupId!)
      const held = async (name: string) =>
        linesOf(
          clients,
          tables.find((table) => table.name === name),
        )
      expect(puts).toBeGreaterThan(1)
      expect([await held('app.a_parent'), await held('app.z_child')]).toEqual([['{"id":1}'], ['{"id":1}']])
      expect([await count('app.going'), await count('app.z_child')]).toEqual([0, 2])
    },
  )

  it.runIf(isFull)(
    `gives way with BackupIsStale when a table was replaced by one that looks the same and holds the same ${inFullForm}`,
    async () => {
      await database.sql.query(
        'CREATE TABLE app.people (id int PRIMARY KEY, name text); INSERT INTO app.people VALUES (1)',
      )
      const plan = await planReset(clients)
      await backUp(clients, plan)
      await database.sql.query(`CREATE TABLE app.twin (LIKE app.people INCLUDING ALL); INSERT INTO app.twin TABLE app.people;
      DROP TABLE app.people; ALTER TABLE app.twin RENAME TO people`)
      const message = await expectNothingWiped(wipeDatabase(clients, databaseOf(plan)), BackupIsStale)
      expect(message).toContain('app.people was dropped, replaced or altered')
    },
  )

  it.runIf(isFull)(
    `gives way with BackupIsStale when a table that was to go became a partition of one that stays ${inFullForm}`,
    async () => {
      await database.sql.query(`${people} CREATE TABLE app.kept (id int) PARTITION BY LIST (id);
      CREATE TABLE app.loose (id int); INSERT INTO app.loose VALUES (1)`)
      const plan = await planReset(clients, { tables: ['kept'] })
      await backUp(clients, plan)
      await database.sql.query('ALTER TABLE app.kept ATTACH PARTITION app.loose FOR VALUES IN (1)')
      const message = await expectNothingWiped(wipeDatabase(clients, databaseOf(plan)), BackupIsStale)
      expect(message).toContain('app.loose got another parent')
      expect(await count('app.loose')).toBe(1)
    },
  )

  it('gives way with BackupIsStale when more changed than may be exported again under the lock', async () => {
    await database.sql.query(people)
    const plan = await planReset(clients)
    await backUp(clients, plan)
    await database.sql.query(`UPDATE app.people SET name = 'changed'`)
    const strict = configured(clients, { LATE_MAX_BYTES: 1000 })
    const before = await keysBelow(clients, plan)
    const message = await expectNothingWiped(wipeDatabase(strict, databaseOf(plan)), BackupIsStale)
    expect(message).toMatch(/app\.people \(\d of \d parts?\).*LATE_MAX_BYTES/)
    expect(await keysBelow(clients, plan)).toEqual(before)
  })

  it.runIf(isFull)(
    `lists all differences once more when it is repeated after a rollback: the later list counts ${inFullForm}`,
    async () => {
      await database.sql.query(people)
      const plan = await planReset(clients, { pagesPerShard: 3 })
      await backUp(clients, plan)
      const before = await rowsAsLines(database.sql, 'app.people')
      await database.sql.query(`INSERT INTO app.people (name) VALUES ('late 1')`)
      // Something that fails after the late parts are written: another session holds the sequence.
      const other = await session(database, 'holds the sequence')
      await other.query(`BEGIN; SELECT nextval('app.people_id_seq')`)
      const some = configured(clients, { LOCK_TIMEOUT_MS: 2_000 })
      await expectNothingWiped(wipeDatabase(some, databaseOf(plan)), DatabaseBusy)
      await other.end()
      const { attempt: earlier } = await readBackup(clients, plan.backupId!)
      expect(earlier).toBeGreaterThan(0) // as often as there was time to begin again
      await database.sql.query(`DELETE FROM app.people WHERE name = 'late 1'`)
      await wipeDatabase(clients, databaseOf(plan))
      const { attempt, late, tables } = await readBackup(clients, plan.backupId!)
      expect([attempt, late?.tables]).toEqual([earlier + 1, []])
      expect(await linesOf(clients, tables[0])).toEqual(before)
    },
  )

  it('refuses the backup of another run', async () => {
    await database.sql.query(people)
    const first = await planReset(clients)
    await backUp(clients, first)
    const plan = { ...(await planReset(clients)), backupId: first.backupId }
    await expectNothingWiped(wipeDatabase(clients, databaseOf(plan)), BackupDamaged)
  })

  it.runIf(isFull)(
    `refuses a backup that was never sealed, one of another environment, and one that lacks a table that would go ${inFullForm}`,
    async () => {
      await database.sql.query(`${people} CREATE TABLE app.pets AS SELECT 1 AS id`)
      const whole = await planReset(clients)
      const plan = await planReset(clients, { excluded: ['pets'] })
      expect(await expectNothingWiped(wipeDatabase(clients, databaseOf(plan)), NotFound)).toContain(
        'no sealed backup',
      )
      await backUp(clients, plan)
      const elsewhere = wipeDatabase(configured(clients, { ENVIRONMENT: 'elsewhere' }), databaseOf(plan))
      expect(await expectNothingWiped(elsewhere, BackupIncomplete)).toContain(
        `was made by run ${plan.runId} in local, not by this one`,
      )
      const more = wipeDatabase(clients, {
        ...databaseOf(whole),
        run: plannedRun(plan),
        backupId: plan.backupId,
      })
      expect(await expectNothingWiped(more, BackupIncomplete)).toContain(
        'does not hold app.pets. Nothing was wiped',
      )
      expect(await wipeDatabase(clients, databaseOf(plan))).toMatchObject({ rows: 200, appeared: [] }) // what is left out did not come later
      expect(await count('app.pets')).toBe(1)
    },
  )

  it.runIf(isFull)(
    `is refused when a row would go that a partition of a table that is not managed references ${inFullForm}`,
    async () => {
      await database.sql.query(`
      CREATE TABLE app.days (id int PRIMARY KEY) PARTITION BY HASH (id);
      CREATE TABLE app.days_0 PARTITION OF app.days FOR VALUES WITH (MODULUS 2, REMAINDER 0);
      CREATE TABLE app.days_1 PARTITION OF app.days FOR VALUES WITH (MODULUS 2, REMAINDER 1);
      CREATE TABLE other.notes (day int REFERENCES app.days ON DELETE CASCADE) PARTITION BY HASH (day);
      CREATE TABLE other.notes_0 PARTITION OF other.notes FOR VALUES WITH (MODULUS 1, REMAINDER 0);
      INSERT INTO app.days SELECT generate_series(1, 8); INSERT INTO other.notes VALUES (2)`)
      const plan = await planReset(clients, { rows: { days: 'id <= 2' } })
      await backUp(clients, plan)
      await database.sql.query('INSERT INTO other.notes VALUES (7)')
      await expect(wipeDatabase(clients, databaseOf(plan))).rejects.toThrow(
        /1 row of other\.notes .* references rows of app\.days/,
      )
      expect([await count('app.days'), await count('other.notes')]).toEqual([8, 2])
      await database.sql.query('DELETE FROM other.notes WHERE day = 7')
      await wipeDatabase(clients, databaseOf(plan))
      expect([await count('app.days'), await count('other.notes')]).toEqual([2, 1])
    },
  )

  it.runIf(isFull)(`works with partitioned tables, and with one partition kept ${inFullForm}`, async () => {
    await database.sql.query(`${people} CREATE TABLE app.events (id serial, day int) PARTITION BY LIST (day);
      CREATE TABLE app.monday PARTITION OF app.events FOR VALUES IN (1);
      CREATE TABLE other.tuesday PARTITION OF app.events FOR VALUES IN (2);
      CREATE TABLE app.rest PARTITION OF app.events DEFAULT;
      INSERT INTO app.events (day) SELECT g % 4 FROM generate_series(1, 40) g`)
    const both = async () => [await text('app.monday'), await text('other.tuesday')]
    const kept = await both()
    const plan = await planReset(clients, { tables: ['monday'] })
    await backUp(clients, plan)
    const wiped = await wipeDatabase(clients, databaseOf(plan))
    expect(wiped.tables).toEqual({ 'app.people': 200, 'app.rest': 20 })
    expect(await both()).toEqual(kept)
    expect(await count('app.rest')).toBe(0)
    const wide = configured(clients, { DATABASE_SCHEMAS: ['app', 'other'] })
    const all = await planReset(wide)
    await backUp(wide, all)
    await wipeDatabase(wide, databaseOf(all))
    expect(await count('app.events')).toBe(0)
  })

  it.runIf(isFull)(`takes hundreds of tables in one go ${inFullForm}`, async () => {
    await database.sql.query(`DO $$ BEGIN FOR i IN 1..500 LOOP
      EXECUTE format('CREATE TABLE app.t%s (id int)', i); END LOOP; END $$;
      INSERT INTO app.t7 VALUES (1)`)
    const plan = await planReset(clients)
    await backUp(clients, plan)
    const wiped = await wipeDatabase(clients, databaseOf(plan))
    expect([wiped.rows, Object.keys(wiped.tables).length]).toEqual([1, 500])
    // Nor is one of them left out where there is no backup that has counted them.
    const kept = (body: string) =>
      database.sql.query(
        `CREATE OR REPLACE FUNCTION app.kept(id int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN ${body} RETURN true; END $$`,
      )
    await kept('')
    await database.sql.query(`INSERT INTO app.t1 VALUES (1); INSERT INTO app.t99 VALUES (1), (2);
      INSERT INTO app.t77 SELECT generate_series(1, 5)`)
    const again = await planReset(clients, { backup: false, rows: { t1: 'app.kept(id)' } })
    await kept('INSERT INTO app.t99 VALUES (id);')
    await expect(wipeDatabase(clients, databaseOf(again))).rejects.toThrow(
      /^Rows of app\.t99 are still there/,
    )
    await kept('')
    expect(await wipeDatabase(clients, databaseOf(again))).toMatchObject({
      ...{ rows: 7, tables: { 'app.t99': 2, 'app.t77': 5, 'app.t7': 0 } },
    })
  })
})

describe('a wipe beside other sessions', () => {
  it.runIf(isFull)(
    `gives way with DatabaseBusy when a session holds a table, and says which session it is ${inFullForm}`,
    async () => {
      await database.sql.query(people)
      const plan = await planReset(clients)
      await backUp(clients, plan)
      const idle = await session(database, 'forgotten notebook')
      const pid = (
        (await idle.query(
          `BEGIN; SELECT pg_backend_pid() AS pid; SELECT * FROM app.people LIMIT 1`,
        )) as unknown as { rows: { pid: number }[] }[]
      )[1]?.rows[0]?.pid
      const message = await expectNothingWiped(wipeDatabase(impatient, databaseOf(plan)), DatabaseBusy)
      expect(message).toContain(`process ${pid} `)
      expect(message).toMatch(
        /application "forgotten notebook", idle in transaction, in a transaction since .* holds people/,
      )
      await idle.end()
      expect(await wipeDatabase(clients, databaseOf(plan))).toMatchObject({ rows: 200 })
    },
  )

  it.runIf(isFull)(
    `gives way in the same manner when a kept table is being altered ${inFullForm}`,
    async () => {
      await database.sql.query(`${people} CREATE TABLE app.plans (id int)`)
      const plan = await planReset(clients, { tables: ['plans'], backup: false })
      const other = await session(database, 'migration')
      await other.query('BEGIN; ALTER TABLE app.plans ADD COLUMN x int')
      await expectNothingWiped(wipeDatabase(impatient, databaseOf(plan)), DatabaseBusy)
      await other.end()
    },
  )

  it.runIf(isFull)(
    `has the tables that stay locked against what empties or alters them before it looks at anything ${inFullForm}`,
    async () => {
      await database.sql.query(`${people} CREATE TABLE app.plans (id int)`)
      const plan = await planReset(clients, { tables: ['plans'], backup: false })
      const other = await session(database, 'migration')
      await other.query(`SET lock_timeout = '50ms'`)
      const ends: unknown[] = []
      const tries = ['TRUNCATE app.plans', 'DROP TABLE app.plans', 'INSERT INTO app.plans VALUES (1)']
      let fences = 0
      const connect = async () => {
        const connection = await clients.connect()
        const query = connection.query.bind(connection) as (...given: unknown[]) => Promise<unknown>
        const beside = async (...given: unknown[]) => {
          const isFence = JSON.stringify(given[0]).includes('FOR UPDATE OF r')
          if (isFence && ++fences === 2)
            // the first is before any lock
            for (const one of tries)
              ends.push(
                await other.query(one).then(
                  ({ command }) => command,
                  (error) => error.code,
                ),
              )
          return query(...given)
        }
        return Object.assign(connection, { query: beside })
      }
      expect(await wipeDatabase({ ...clients, connect } as Clients, databaseOf(plan))).toMatchObject({
        rows: 200,
      })
      expect(ends).toEqual(['55P03', '55P03', 'INSERT'])
      expect(await count('app.plans')).toBe(1)
    },
  )

  it('gives back what it holds while it waits for a session that waits for it: neither gets an error', async () => {
    await database.sql.query(`${people} CREATE TABLE app.zoo (id int)`)
    const plan = await planReset(clients, { backup: false })
    const other = await session(database, 'writer')
    await other.query('BEGIN; LOCK TABLE app.zoo')
    const wiping = wipeDatabase(clients, databaseOf(plan)).then(
      () => 'wiped',
      (error: Error) => error.name,
    )
    await expect.poll(() => waiting(database)).toBe(1)
    const writing = other.query(`INSERT INTO app.people (name) VALUES ('x')`).then(
      () => other.query('COMMIT').then(() => 'written'),
      (error) => error.code,
    )
    const ends = await Promise.all([wiping, writing])
    await other.end()
    expect(ends).toEqual(['wiped', 'written'])
  })

  it('reports a broken connection, and leaves everything as it was', async () => {
    await database.sql.query(people)
    const plan = await planReset(clients, { backup: false })
    const idle = await session(database, 'holder')
    await idle.query('BEGIN; LOCK TABLE app.people IN ACCESS SHARE MODE')
    const wiping = expectNothingWiped(wipeDatabase(clients, databaseOf(plan)), StoreUnavailable)
    await expect
      .poll(async () => {
        const ended = await database.admin.query(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
           WHERE application_name = 'taskmaster-reset' AND datname = current_database() AND wait_event_type = 'Lock'`,
        )
        return ended.rowCount
      })
      .toBe(1)
    await wiping
    await idle.end()
  })

  it('leaves tables alone that were created after the backup, and names them', async () => {
    await database.sql.query(people)
    const plan = await planReset(clients)
    await backUp(clients, plan)
    await database.sql.query('CREATE TABLE app.news AS SELECT 1 AS id')
    expect(await wipeDatabase(clients, databaseOf(plan))).toMatchObject({ rows: 200, appeared: ['app.news'] })
    expect(await count('app.news')).toBe(1)
  })

  it.each(
    [
      ['altered', 'ALTER TABLE app.people ADD COLUMN age int', 'app.people was dropped, replaced or altered'],
      [
        'replaced',
        'ALTER TABLE app.people RENAME TO old; CREATE TABLE app.people (LIKE app.old)',
        'app.people was dropped',
      ],
      [
        'given a referencing table',
        'CREATE TABLE app.notes (person int REFERENCES app.people)',
        'app.notes was created and references app.people',
      ],
      [
        'made a partition of one that came later',
        'CREATE TABLE app.top (id int NOT NULL, name text) PARTITION BY RANGE (id); ALTER TABLE app.people ALTER COLUMN id DROP IDENTITY; ALTER TABLE app.people DROP CONSTRAINT people_pkey; ALTER TABLE app.top ATTACH PARTITION app.people DEFAULT',
        'app.people was dropped',
      ],
    ].slice(0, isFull ? undefined : 1),
  )('gives way with BackupIsStale when a table was %s since the backup', async (_, ddl, reason) => {
    await database.sql.query(people)
    const plan = await planReset(clients)
    await backUp(clients, plan)
    await database.sql.query(ddl)
    expect(await expectNothingWiped(wipeDatabase(clients, databaseOf(plan)), BackupIsStale)).toContain(reason)
  })

  it.runIf(isFull)(
    `gives way with BackupIsStale when a table was dropped, or is dropped while it waits for the lock ${inFullForm}`,
    async () => {
      await database.sql.query(`${people} CREATE TABLE app.zoo (id int)`)
      const plan = await planReset(clients, { backup: false })
      const other = await session(database, 'migration')
      await other.query('BEGIN; DROP TABLE app.zoo')
      const wiping = expectNothingWiped(wipeDatabase(clients, databaseOf(plan)), BackupIsStale)
      await expect.poll(() => waiting(database)).toBe(1)
      await other.query('COMMIT')
      expect(await wiping).toContain('app.zoo')
      await other.end()
      await expectNothingWiped(wipeDatabase(clients, databaseOf(plan)), BackupIsStale)
    },
  )

  it('sees the rows of a writer it had to wait for', async () => {
    await database.sql.query(people)
    const plan = await planReset(clients)
    await backUp(clients, plan)
    const writer = await session(database, 'writer')
    await writer.query(`BEGIN; INSERT INTO app.people (name) VALUES ('last')`)
    const wiping = wipeDatabase(clients, databaseOf(plan))
    await expect.poll(() => waiting(database)).toBe(1)
    await writer.query('COMMIT')
    await writer.end()
    expect(await wiping).toMatchObject({ rows: 201, lateParts: 1 })
    const { tables } = await readBackup(clients, plan.backupId!)
    expect((await linesOf(clients, tables[0])).some((line) => line.includes('"last"'))).toBe(true)
  })
})

describe('the run that wipes', () => {
  it('gets the recorded counts when it repeats itself, without touching or locking anything', async () => {
    await database.sql.query(people)
    const plan = await planReset(clients)
    await backUp(clients, plan)
    const first = await wipeDatabase(clients, databaseOf(plan))
    await database.sql.query(`INSERT INTO app.people (name) VALUES ('after')`)
    const other = await session(database, 'busy')
    await other.query('BEGIN; LOCK TABLE app.people')
    expect(await wipeDatabase(clients, databaseOf(plan))).toEqual(first)
    await other.query('DROP TABLE app.people; COMMIT')
    await other.end()
    expect(await wipeDatabase(clients, databaseOf(plan))).toEqual(first)
  })

  it.runIf(isFull)(
    `refreshes materialized views that a first try, or a version before, did not come to ${inFullForm}`,
    async () => {
      await database.sql.query(
        `${people} CREATE MATERIALIZED VIEW app.mv AS SELECT count(*)::int AS n FROM app.people`,
      )
      const plan = await planReset(clients, { backup: false })
      const first = await wipeDatabase(clients, databaseOf(plan))
      expect(first.views).toEqual({ refreshed: ['app.mv'], stale: [] })
      await database.sql.query(`UPDATE taskmaster_reset.runs SET wiped = wiped - 'views' WHERE run_id = '${plan.runId}';
      INSERT INTO app.people (name) VALUES ('after')`)
      expect(await wipeDatabase(clients, databaseOf(plan))).toEqual(first)
      expect((await database.sql.query('SELECT n FROM app.mv')).rows).toEqual([{ n: 1 }])
    },
  )

  it.runIf(isFull)(
    `says of each materialized view that is not refreshed why, and refreshes none for a run that was lost ${inFullForm}`,
    async () => {
      await database.sql.query(`${people} CREATE MATERIALIZED VIEW app.slow AS SELECT count(*), pg_sleep(0.02)::text FROM app.people;
      CREATE MATERIALIZED VIEW app.a_fast AS SELECT count(*)::int AS n FROM app.people`)
      const plan = await planReset(clients, { backup: false })
      const asked = {
        runId: plan.runId,
        tables: plan.database!.tables.map(({ table }) => table),
        planned: ['app.mv'],
      }
      let asks = 0
      const start = Date.now()
      const slow = { ...clients, now: () => new Date(start + (asks++ < 2 ? 0 : 240_000)) } as Clients
      expect(await refreshViews(slow, asked)).toEqual({
        refreshed: ['app.a_fast'],
        stale: [{ name: 'app.slow', reason: 'there was no time left of 240 s for all of them' }],
      })
      let tried = 0
      const connect = async () => {
        if (tried++ === 0) throw new Error('Connection terminated unexpectedly')
        return clients.connect()
      }
      expect(await refreshViews({ ...clients, connect } as Clients, asked)).toEqual({
        refreshed: [],
        stale: [{ name: 'app.mv', reason: 'the connection to the database broke' }],
      })
      await database.sql.query(`INSERT INTO app.people (name) VALUES ('x');
      UPDATE taskmaster_reset.runs SET status = 'abandoned' WHERE run_id = '${plan.runId}'`)
      await expect(refreshViews(clients, asked)).rejects.toThrow(RunLost)
      expect((await database.sql.query('SELECT n FROM app.a_fast')).rows).toEqual([{ n: 200 }])
    },
  )

  it('wipes once when it is started twice at the same time', async () => {
    await database.sql.query(people)
    const plan = await planReset(clients)
    await backUp(clients, plan)
    const both = await Promise.all([
      wipeDatabase(clients, databaseOf(plan)),
      wipeDatabase(clients, databaseOf(plan)),
    ])
    expect(both[0]).toEqual(both[1])
    expect(both[0].rows).toBe(200)
  })

  it('does not wait for ever for the ledger either', async () => {
    await database.sql.query(people)
    const plan = await planReset(clients, { backup: false })
    const other = await session(database, 'holder')
    await other.query(`BEGIN; SELECT FROM taskmaster_reset.runs WHERE run_id = '${plan.runId}' FOR UPDATE`)
    await expectNothingWiped(wipeDatabase(impatient, databaseOf(plan)), DatabaseBusy)
    await other.end()
  })

  it('stops with RunLost when its row is no longer its own, before it waits for any table', async () => {
    await database.sql.query(people)
    const plan = await planReset(clients, { backup: false })
    await database.sql.query(
      `UPDATE taskmaster_reset.runs SET status = 'abandoned' WHERE run_id = '${plan.runId}'`,
    )
    const other = await session(database, 'busy')
    await other.query('BEGIN; LOCK TABLE app.people IN ROW EXCLUSIVE MODE')
    await expectNothingWiped(wipeDatabase(clients, databaseOf(plan)), RunLost)
    await other.end()
  })

  it.runIf(isFull)(
    `stops with RunLost when it was taken over while it waited for its locks ${inFullForm}`,
    async () => {
      await database.sql.query(people)
      const plan = await planReset(clients, { backup: false })
      const other = await session(database, 'busy')
      await other.query('BEGIN; LOCK TABLE app.people IN ROW EXCLUSIVE MODE')
      const wiping = expectNothingWiped(wipeDatabase(clients, databaseOf(plan)), RunLost)
      await expect.poll(() => waiting(database)).toBe(1)
      await database.sql.query(
        `UPDATE taskmaster_reset.runs SET status = 'abandoned' WHERE run_id = '${plan.runId}'`,
      )
      await other.end()
      await wiping
    },
  )

  it('is refused when the database says that it is protected, or belongs to another environment', async () => {
    await database.sql.query(people)
    const plan = await planReset(clients, { backup: false })
    await database.sql.query('UPDATE taskmaster_reset.environment SET protected = true')
    await expectNothingWiped(wipeDatabase(clients, databaseOf(plan)), EnvironmentProtected)
    await database.sql.query(`UPDATE taskmaster_reset.environment SET protected = false, name = 'production'`)
    await expectNothingWiped(wipeDatabase(clients, databaseOf(plan)), EnvironmentMismatch)
  })

  it.runIf(isFull)(`wipes without a backup only what it was told to ${inFullForm}`, async () => {
    await database.sql.query(people)
    const plan = await planReset(clients, { backup: false, rows: { people: 'id <= 3' } })
    expect(await wipeDatabase(clients, databaseOf(plan))).toMatchObject({ rows: 197, lateParts: 0 })
    expect(await count('app.people')).toBe(3)
  })
})

describe('what a role or a database sets for all its sessions', () => {
  const settings = {
    default_transaction_read_only: ['on', 'off'],
    default_transaction_isolation: ['serializable', 'read committed'],
    default_transaction_deferrable: ['on', 'off'],
    ...(postgresMajor >= 17 ? { transaction_timeout: ['1s', '0'] } : {}),
    idle_session_timeout: ['1s', '0'],
    idle_in_transaction_session_timeout: ['1s', '0'],
    statement_timeout: ['1s', '0'],
    lock_timeout: ['1s', '0'],
    xmloption: ['document', 'content'],
    array_nulls: ['off', 'on'],
    quote_all_identifiers: ['on', 'off'],
    standard_conforming_strings: ['off', 'on'],
    client_connection_check_interval: ['0', '10s'],
  }
  const role = () => new URL(database.env.DATABASE_URL ?? '').username
  afterEach(() => database.admin.query(`ALTER ROLE "${role()}" RESET ALL`))

  it.runIf(isFull)(`changes nothing of what a reset does ${inFullForm}`, async () => {
    await database.sql.query(`${people} ALTER TABLE app.people ADD COLUMN notes xml, ADD COLUMN "Marks" text[];
      UPDATE app.people SET notes = 'no document', "Marks" = ARRAY['a', NULL, E'\\\\']`)
    for (const [name, [value]] of Object.entries(settings))
      await database.admin.query(`ALTER ROLE "${role()}" SET ${name} = '${value}'`)
    await withConnection(clients, async (connection) => {
      const known = `SELECT name, current_setting(name) AS value FROM pg_settings WHERE name = ANY($1)`
      const found = await connection.query(known, [Object.keys(settings)])
      expect(Object.fromEntries(found.rows.map(({ name, value }) => [name, value]))).toEqual(
        Object.fromEntries(Object.entries(settings).map(([name, [, pinned]]) => [name, pinned])),
      )
      await sleep(1100)
      await connection.query('BEGIN')
      await sleep(1100)
      await connection.query('SELECT pg_sleep(1.1)')
    })
    const plan = await planReset(clients)
    await backUp(clients, plan)
    expect(await wipeDatabase(clients, databaseOf(plan))).toMatchObject({ rows: 200, lateParts: 0 })
  })
})

describe('what the database does of its own accord', () => {
  const wipeNow = async (wanted = {}) =>
    wipeDatabase(clients, databaseOf(await planReset(clients, { backup: false, ...wanted })))

  it('does not happen: triggers and rules neither write elsewhere nor keep rows, and stand afterwards as before', async () => {
    await database.sql.query(`${people} CREATE TABLE other.log (what text);
      CREATE FUNCTION other.log() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO other.log VALUES (TG_OP); RETURN NULL; END $$;
      CREATE TABLE app.orders (id int, keep boolean, person int REFERENCES app.people);
      INSERT INTO app.orders VALUES (1, true, null), (2, false, 2);
      CREATE TRIGGER a BEFORE TRUNCATE ON app.people EXECUTE FUNCTION other.log();
      CREATE TRIGGER b BEFORE DELETE ON app.people FOR EACH ROW EXECUTE FUNCTION other.log();
      CREATE TRIGGER c AFTER DELETE ON app.people FOR EACH ROW EXECUTE FUNCTION other.log();
      CREATE TRIGGER d AFTER DELETE ON app.people FOR EACH ROW EXECUTE FUNCTION other.log();
      CREATE CONSTRAINT TRIGGER e AFTER DELETE ON app.orders DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION other.log();
      ALTER TABLE app.people ENABLE ALWAYS TRIGGER b; ALTER TABLE app.people ENABLE REPLICA TRIGGER c; ALTER TABLE app.people DISABLE TRIGGER d;
      CREATE RULE stay AS ON DELETE TO app.orders DO INSTEAD INSERT INTO other.log VALUES ('rule')`)
    const states = `SELECT tgname AS name, tgenabled AS state FROM pg_trigger WHERE NOT tgisinternal
      UNION ALL SELECT rulename, ev_enabled FROM pg_rewrite WHERE rulename = 'stay' ORDER BY 1`
    const before = (await database.sql.query(states)).rows
    await wipeNow({ rows: { orders: 'keep' } })
    expect([await count('app.people'), await count('app.orders'), await count('other.log')]).toEqual([
      0, 1, 0,
    ])
    expect((await database.sql.query(states)).rows).toEqual(before)
    expect(before).toContainEqual({ name: 'd', state: 'D' })
  })

  it.runIf(isFull)(
    `does not happen on a partition whose trigger stands otherwise than its parent's ${inFullForm}`,
    async () => {
      await database.sql.query(`CREATE TABLE app.p (id int) PARTITION BY LIST (id);
      CREATE TABLE app.p1 PARTITION OF app.p FOR VALUES IN (1); CREATE TABLE app.p2 PARTITION OF app.p FOR VALUES IN (2);
      INSERT INTO app.p VALUES (1), (2);
      CREATE FUNCTION other.no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
      CREATE TRIGGER guard BEFORE DELETE ON app.p FOR EACH ROW EXECUTE FUNCTION other.no();
      ALTER TABLE ONLY app.p1 DISABLE TRIGGER guard`)
      const states =
        'SELECT tgrelid::regclass::text, tgenabled FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1'
      const before = (await database.sql.query(states)).rows
      await wipeNow({ rows: { p: 'id > 5' } })
      expect(await count('app.p')).toBe(0)
      expect((await database.sql.query(states)).rows).toEqual(before)
    },
  )

  it.runIf(isFull)(
    `does not happen on a kept table: its triggers for statements stay silent when a foreign key tries it ${inFullForm}`,
    async () => {
      await database.sql.query(`${people} CREATE TABLE other.log (what text);
      CREATE FUNCTION other.log() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO other.log VALUES (TG_OP); RETURN NULL; END $$;
      CREATE TABLE app.badges (person int REFERENCES app.people ON DELETE CASCADE);
      INSERT INTO app.badges VALUES (1);
      CREATE TRIGGER every AFTER DELETE ON app.badges EXECUTE FUNCTION other.log()`)
      const kept = await text('app.badges')
      await wipeNow({ rows: { people: 'id = 1' }, tables: ['badges'] })
      expect([await count('app.people'), await count('other.log')]).toEqual([1, 0])
      expect(await text('app.badges')).toBe(kept)
    },
  )

  it.runIf(isFull).each(['CASCADE', 'SET NULL', 'SET DEFAULT'])(
    `does not happen on a kept table: with ON DELETE %s its triggers for statements stay silent, whatever they are for ${inFullForm}`,
    async (action) => {
      await database.sql.query(`${people} CREATE TABLE other.log (what text);
        CREATE FUNCTION other.log() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO other.log VALUES (TG_OP); RETURN NULL; END $$;
        CREATE TABLE app.badges (person int DEFAULT 1 REFERENCES app.people ON DELETE ${action}); INSERT INTO app.badges VALUES (1);
        CREATE TRIGGER before_all BEFORE UPDATE OR DELETE ON app.badges EXECUTE FUNCTION other.log();
        CREATE TRIGGER after_all AFTER UPDATE OR DELETE ON app.badges EXECUTE FUNCTION other.log()`)
      await wipeNow({ rows: { people: 'id = 1' }, tables: ['badges'] })
      expect([await count('app.people'), await count('other.log')]).toEqual([1, 0])
    },
  )

  const actions = [
    'CASCADE',
    'SET NULL',
    'SET DEFAULT',
    'RESTRICT',
    'NO ACTION DEFERRABLE INITIALLY DEFERRED',
  ]
  it.each(actions.filter((action) => isFull || action === 'CASCADE'))(
    'does not happen to kept rows: when ON DELETE %s would reach one, the wipe is refused',
    async (action) => {
      await database.sql.query(`${people} CREATE TABLE app.orders (id int, person int REFERENCES app.people ON DELETE ${action});
        INSERT INTO app.orders VALUES (1, 1), (2, 2), (3, NULL)`)
      const kept = await text('app.orders')
      const wiping = wipeNow({ rows: { orders: 'id = 2', people: 'id = 1' } })
      const message = await expectNothingWiped(wiping, PreservationConflict)
      expect(message).toMatch(/^1 row of app\.orders is to be kept and references rows of app\.people/)
      expect(await text('app.orders')).toBe(kept)
      await wipeNow({ rows: { orders: 'id <> 2', people: 'id = 1' } })
      expect([await count('app.orders'), await count('app.people')]).toEqual([2, 1])
    },
  )

  it('is seen with the operator of the foreign key, not with whatever "=" means', async () => {
    await database.admin.query('CREATE EXTENSION IF NOT EXISTS citext SCHEMA public')
    await database.sql.query(`${people} CREATE TABLE app.tags (tag public.citext PRIMARY KEY); INSERT INTO app.tags VALUES ('Red'), ('blue');
      CREATE TABLE app.uses (tag public.citext REFERENCES app.tags ON DELETE CASCADE); INSERT INTO app.uses VALUES ('RED')`)
    const wiping = wipeNow({ rows: { tags: `tag::text = 'blue'` }, tables: ['uses'] })
    await expectNothingWiped(wiping, PreservationConflict)
    expect(await count('app.uses')).toBe(1)
  })

  it.runIf(isFull)(`is refused when a condition depends on rows that go ${inFullForm}`, async () => {
    await database.sql.query(
      `${people} CREATE TABLE app.admins (person int); INSERT INTO app.admins VALUES (1)`,
    )
    const rows = { people: 'id IN (SELECT person FROM app.admins)' }
    await expectNothingWiped(wipeNow({ rows }), PreservationConflict)
    await wipeNow({ rows, tables: ['admins'] })
    expect(await count('app.people')).toBe(1)
  })

  it('does not happen to what is preserved: where event triggers write there, the wipe is refused, and Count warns of it', async () => {
    await database.sql.query(`${people} CREATE TABLE app.kept (id int, note text); INSERT INTO app.kept VALUES (1, 'y');
      CREATE TABLE app.partly (id int, note text); INSERT INTO app.partly VALUES (1, 'y'), (2, 'y');
      CREATE FUNCTION app.no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
      CREATE TRIGGER no BEFORE TRUNCATE ON app.people EXECUTE FUNCTION app.no()`)
    const preserved = async () => [await text('app.kept'), await text('app.partly')]
    const before = await preserved()
    const write = (when: string, what: string) =>
      database.admin.query(`CREATE OR REPLACE FUNCTION other.write() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
        IF current_query() LIKE '%${when}%' THEN ${what}; END IF; END $$`)
    await write('', `UPDATE app.kept SET note = 'x'`)
    await database.admin.query(
      `CREATE EVENT TRIGGER writing ON ddl_command_end WHEN TAG IN ('ALTER TABLE', 'ALTER SEQUENCE') EXECUTE FUNCTION other.write()`,
    )
    const keeping = { tables: ['kept'], rows: { partly: 'id = 1' } }
    try {
      const message = expect.stringContaining('the event triggers writing write into app.kept')
      expect((await planReset(clients, keeping)).warnings).toContainEqual({ code: 'NotRestorable', message })
      const told = `app.kept, which is preserved: a function, or one of the event triggers writing, writes there`
      for (const [when, what, says] of [
        ['DISABLE', `UPDATE app.kept SET note = 'x'`, told],
        ['ENABLE', `INSERT INTO app.kept VALUES (2, 'x')`, told],
        ['RESTART', 'TRUNCATE app.kept', told],
        ['ENABLE', `UPDATE app.partly SET note = 'x' WHERE id = 1`, 'rows of app.partly that are preserved'],
      ] as const) {
        await write(when, what)
        const refused = await expectNothingWiped(wipeNow(keeping), PreservationConflict)
        expect(refused).toContain(says)
        expect(await preserved()).toEqual(before)
      }
      if (isFull) {
        const role = new URL(database.env.DATABASE_URL ?? '').username
        await database.admin.query(`ALTER ROLE "${role}" SET track_counts = off`)
        onTestFinished(async () => void (await database.admin.query(`ALTER ROLE "${role}" RESET ALL`)))
        await write('ENABLE', `UPDATE app.kept SET note = 'x'`)
        const refused = await expectNothingWiped(wipeNow(keeping), PreservationConflict)
        expect(refused).toContain('rows of app.kept that are preserved')
        expect(await preserved()).toEqual(before)
      }
      await write('ABLE', `UPDATE app.kept SET note = 'x'`)
      await wipeNow({ ...keeping, tables: [], excluded: ['kept'] })
      expect([await count('app.people'), await text('app.partly')]).toEqual([0, before[1]?.split('\n')[0]])
    } finally {
      await database.admin.query('DROP EVENT TRIGGER writing')
    }
  })

  it('is refused when something fills a table again while it is wiped', async () => {
    await database.sql.query(`${people} CREATE TABLE app.looks (id int);
      CREATE FUNCTION app.is_kept(id int) RETURNS boolean LANGUAGE sql AS 'SELECT id = 1'`)
    const plan = await planReset(clients, { backup: false, rows: { people: 'app.is_kept(id)' } })
    await database.sql.query(`CREATE OR REPLACE FUNCTION app.is_kept(id int) RETURNS boolean LANGUAGE plpgsql AS
      $$ BEGIN INSERT INTO app.looks VALUES (id); RETURN id = 1; END $$`)
    const message = await expectNothingWiped(wipeDatabase(clients, databaseOf(plan)), PreservationConflict)
    expect(message).toContain('Rows of app.looks are still there after they were wiped')
  })

  it.runIf(isFull)(
    `may be named by the condition: the table by its name, and columns called like our aliases ${inFullForm}`,
    async () => {
      await database.sql.query(`CREATE TABLE app.r (a int, b int, r int, k int, ctid2 int); INSERT INTO app.r VALUES (1, 1, 1), (2, 2, 2);
      CREATE TABLE app.b (r int); ALTER TABLE app.r ADD PRIMARY KEY (r); ALTER TABLE app.b ADD FOREIGN KEY (r) REFERENCES app.r;
      INSERT INTO app.b VALUES (1)`)
      await wipeNow({ rows: { r: 'r.a = 1 AND r.r = 1 AND b = 1', b: 'b.r = 1' } })
      expect([await count('app.r'), await count('app.b')]).toEqual([1, 1])
    },
  )

  it.runIf(isFull)(`counts NULL as not kept ${inFullForm}`, async () => {
    await database.sql.query(`${people} UPDATE app.people SET name = NULL WHERE id = 5`)
    expect(await wipeNow({ rows: { people: `name <> 'x'` } })).toMatchObject({ rows: 1 })
  })
})

describe('MAX_ROWS', () => {
  it('counts what would be wiped, not what PRESERVE_ROWS and PRESERVE_TABLES keep', async () => {
    await database.sql.query(`${people} CREATE TABLE app.kept AS SELECT g FROM generate_series(1, 50) g`)
    const most = (MAX_ROWS: number) => configured(clients, { MAX_ROWS })
    const keeping = { rows: { people: 'id > 150' }, tables: ['kept'], backup: false }
    await expect(planReset(most(149), keeping)).rejects.toThrow(/150 rows, more than MAX_ROWS=149/)
    await planReset(most(150), keeping)
    await expect(planReset(most(249), { backup: false })).rejects.toThrow(/250 rows/)
  })
})

describe('sequences', () => {
  it('start again also when they are not owned, and go on when a kept table uses them', async () => {
    await database.sql.query(`CREATE SEQUENCE app.free; CREATE SEQUENCE app.shared START 10; CREATE SEQUENCE app.unused;
      CREATE TABLE app.a (id int DEFAULT nextval('app.free'), s int DEFAULT nextval('app.shared'));
      CREATE TABLE app.b (s int DEFAULT nextval('app.shared'));
      INSERT INTO app.a DEFAULT VALUES; INSERT INTO app.b DEFAULT VALUES; SELECT nextval('app.unused')`)
    const positions = async () =>
      (
        await database.sql.query(
          `SELECT sequencename AS name, last_value AS at FROM pg_sequences WHERE schemaname = 'app' ORDER BY 1`,
        )
      ).rows.map(({ name, at }) => [name, at])
    await wipeDatabase(clients, databaseOf(await planReset(clients, { backup: false, tables: ['b'] })))
    expect(await positions()).toEqual([
      ['free', null],
      ['shared', '11'],
      ['unused', '1'],
    ])
    await wipeDatabase(clients, databaseOf(await planReset(clients, { backup: false })))
    expect(await positions()).toEqual([
      ['free', null],
      ['shared', null],
      ['unused', '1'],
    ])
    const next = await database.sql.query(`SELECT nextval('app.shared') AS next`)
    expect(next.rows[0].next).toBe('10')
  })
})
