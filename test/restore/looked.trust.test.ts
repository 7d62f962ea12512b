import { beforeAll, beforeEach, expect, it } from 'vitest'
import type { BackedUpTable } from '../../lib/backup/sections/database.ts'
import type { FingerprintFormat } from '../../lib/backup/sections/fingerprint.ts'
import { readCatalog } from '../../lib/database/catalog/catalog.ts'
import { readLive } from '../../lib/database/restore/differing.ts'
import { beginLook, lookOf, noteLooks, stillLooked } from '../../lib/database/restore/looked.ts'
import { ensureScratch } from '../../lib/database/scratch/create.ts'
import { dropScratch } from '../../lib/database/scratch/drop.ts'
import type { TablePair } from '../../lib/database/table-pair.ts'
import type { Connection } from '../../lib/postgres/connection.ts'
import { withConnection } from '../../lib/postgres/with-connection.ts'
import { randomFrom } from '../backup/damages.ts'
import { session, useDatabase, waiting } from '../database/database-stack.ts'
import { backUpNight, restoreNight } from '../database/nights.ts'
import { postgresMajor } from '../support/server-version.ts'
import { asFound, inFullForm, isFull, rounds, tried } from '../support/trust.ts'

const database = useDatabase()
const runId = 'looked'
const format: FingerprintFormat = { version: 2, seed: '7' }

beforeAll(async () => {
  await database.sql.query(`
    CREATE TABLE noted (); CREATE TABLE aside (id int);
    CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE noted SET other = 'z' WHERE id = 7; RETURN NEW; END $$;
    CREATE TRIGGER touching AFTER INSERT ON aside FOR EACH ROW EXECUTE FUNCTION touch();
    CREATE TABLE split (id int, note text) PARTITION BY RANGE (id); CREATE TABLE split_low PARTITION OF split FOR VALUES FROM (0) TO (5000);
    CREATE TABLE split_high PARTITION OF split DEFAULT; INSERT INTO split SELECT g, md5(g::text) FROM generate_series(1, 6000) g;
    CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE TABLE felt (id int PRIMARY KEY, mood mood, word regtype);
    INSERT INTO felt SELECT g, 'sad', 'int4' FROM generate_series(1, 2000) g; INSERT INTO felt VALUES (0, 'glad', 'text')`)
  await database.admin.query(`CREATE TYPE pg_catalog.tone AS ENUM ('low', 'high')`)
  await database.sql.query(`CREATE SCHEMA room; CREATE TABLE placed AS SELECT g AS id, '{room}'::regnamespace[] AS place FROM generate_series(1, 2000) g;
    CREATE TABLE sung AS SELECT g AS id, 'low'::tone AS tone FROM generate_series(1, 2000) g;
    CREATE FUNCTION reads(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE TABLE catalogued (id int, of pg_catalog.pg_type);
    INSERT INTO catalogued (id, of.typinput) SELECT g, 'reads' FROM generate_series(1, 2000) g`)
})

beforeEach(async () => {
  const { sql } = database
  await sql.query(`DROP TABLE noted CASCADE; CREATE TABLE noted (id int PRIMARY KEY, note text, other text); CREATE VIEW shown AS SELECT id, note FROM noted;
    INSERT INTO noted SELECT g, md5(g::text), 'o' FROM generate_series(1, 3000) g; DELETE FROM noted WHERE id % 10 = 3`)
  await untilOthersHaveEnded()
})

/** Rows of which the transaction may not have ended when a look begins prove nothing, and tests beside this one have long transactions. */
async function untilOthersHaveEnded(): Promise<void> {
  const { rows } = await database.sql.query('SELECT pg_current_xact_id()::text AS last')
  await expect
    .poll(
      async () =>
        (
          await database.sql.query(
            'SELECT pg_snapshot_xmin(pg_current_snapshot()) > $1::text::xid8 AS ended',
            [rows[0].last],
          )
        ).rows[0].ended,
      { timeout: 60_000 },
    )
    .toBe(true)
}

const nothing = async () => {}

/** As a restore looks before its locks, and what it finds under them. */
async function looked(
  meanwhile: () => Promise<unknown>,
  name = 'noted',
  { before = nothing, during = nothing }: Record<string, () => Promise<unknown>> = {},
) {
  const { clients } = database
  return withConnection(clients, async (connection) => {
    const pair = await pairOf(connection, name)
    await ensureScratch(connection, { runId, tables: [] })
    try {
      await before()
      await beginLook(connection, pair)
      const ranges = await readLive(connection, { table: pair.table, format })
      await during()
      const look = await lookOf(connection, pair, ranges)
      await connection.query('ROLLBACK')
      if (look !== null) await noteLooks(connection, runId, new Map([[pair.table.name, look]]))
      await meanwhile()
      await connection.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
      const found = await stillLooked(connection, { runId, pair: await pairOf(connection, name) })
      const now = await readLive(connection, { table: pair.table, format })
      await connection.query('ROLLBACK')
      if (found !== null) expect(found).toEqual(now)
      return found !== null
    } finally {
      await dropScratch(connection, runId)
    }
  })
}

async function pairOf(connection: Connection, name: string): Promise<TablePair> {
  const { tables } = await readCatalog(connection, ['public'])
  const live = tables.find((table) => table.table === name)
  if (live === undefined) throw new Error(`There is no table ${name}.`)
  return { live, table: { ...live, rows: 0, fingerprint: '0', parts: [] } as unknown as BackedUpTable }
}

const does =
  (...statements: string[]) =>
  async () => {
    for (const statement of statements) await database.sql.query(statement)
  }

it('takes a look for what is there while nobody has written, whatever else was done', async () => {
  const kept = [
    'SELECT',
    'VACUUM noted',
    'VACUUM (FREEZE) noted',
    'ANALYZE noted',
    'BEGIN; SELECT FROM noted FOR UPDATE; COMMIT',
    `BEGIN; UPDATE noted SET note = 'x'; ROLLBACK`,
    'BEGIN; TRUNCATE noted; ROLLBACK',
    `BEGIN; INSERT INTO noted VALUES (-1); ROLLBACK`,
    'UPDATE split SET note = upper(note) WHERE id = 1',
    'CREATE INDEX made ON noted (note); DROP INDEX made',
    'REINDEX TABLE noted',
  ]
  for (const statement of kept) expect(await looked(does(statement)), statement).toBe(true)
})

it('takes it for nothing once anything was written, by whatever way, or a value is read by another column', async () => {
  const written = [
    ['INSERT INTO noted VALUES (-1)'],
    ['DELETE FROM noted WHERE id = 1'],
    ['UPDATE noted SET note = note WHERE id = 2'],
    ['BEGIN; SAVEPOINT a; UPDATE noted SET note = note WHERE id = 4; RELEASE a; COMMIT'],
    [`BEGIN; DELETE FROM noted WHERE id = 5; INSERT INTO noted VALUES (5, md5('5'), 'o'); COMMIT`],
    [`UPDATE noted SET note = 'x' WHERE id = 6`, `UPDATE noted SET note = md5('6') WHERE id = 6`],
    [`UPDATE shown SET note = 'x' WHERE id = 8`],
    ['INSERT INTO aside VALUES (1)'],
    [
      postgresMajor < 15 // which has no MERGE
        ? 'DELETE FROM noted n USING aside a WHERE n.id = a.id + 9'
        : 'MERGE INTO noted n USING aside a ON n.id = a.id + 9 WHEN MATCHED THEN DELETE',
      'DELETE FROM noted WHERE id = 9',
    ],
    ['CREATE TABLE held AS TABLE noted', 'TRUNCATE noted', 'INSERT INTO noted TABLE held', 'DROP TABLE held'],
    [
      'BEGIN; CREATE TABLE held AS TABLE noted; TRUNCATE noted; INSERT INTO noted TABLE held; DROP TABLE held; COMMIT',
    ],
    ['VACUUM FULL noted'],
    ['CLUSTER noted USING noted_pkey'],
    ['ALTER TABLE noted DROP COLUMN other', 'ALTER TABLE noted ADD COLUMN other text'],
    [`ALTER TABLE noted DROP COLUMN other`, `ALTER TABLE noted ADD COLUMN other text DEFAULT 'o'`],
    [
      'ALTER TABLE noted RENAME note TO third',
      'ALTER TABLE noted RENAME other TO note',
      'ALTER TABLE noted RENAME third TO other',
    ],
  ]
  for (const statements of written) {
    expect(await looked(does(...statements)), statements.join('; ')).toBe(false)
  }
  expect(await looked(does('UPDATE split SET id = id + 5000 WHERE id = 10'), 'split_low')).toBe(false)
})

it('takes it for nothing when who wrote had begun before it, and ended behind it', async () => {
  const update = `UPDATE noted SET note = 'early' WHERE id = 10`
  for (const { begun, end } of [
    { begun: update, end: 'ROLLBACK' },
    { begun: update, end: 'COMMIT' },
    { begun: `${update}; INSERT INTO noted VALUES (-10)`, end: 'COMMIT' },
    { begun: `SAVEPOINT a; ${update}`, end: 'COMMIT' },
  ]) {
    const other = await session(database, 'application')
    await other.query(`BEGIN; ${begun}`)
    expect(await looked(() => other.query(end)), `${begun}; ${end}`).toBe(end === 'ROLLBACK')
  }
  const prepared = await session(database, 'application')
  await prepared.query(`BEGIN; DELETE FROM noted WHERE id = 20; PREPARE TRANSACTION 'of_look'`)
  expect(await looked(() => prepared.query(`COMMIT PREPARED 'of_look'`))).toBe(false)
  const during = does('DELETE FROM noted WHERE id = 21')
  expect(await looked(does('SELECT'), 'noted', { during }), 'written while it looks').toBe(false)
})

it('takes no look for rows of which the text may change while nobody writes them', async () => {
  expect(await looked(does(`ALTER TYPE mood RENAME VALUE 'sad' TO 'low'`), 'felt')).toBe(false)
  expect(await looked(does('ALTER SCHEMA room RENAME TO hall'), 'placed')).toBe(false)
  const renamed = `ALTER TYPE pg_catalog.tone RENAME VALUE 'low' TO 'deep'`
  expect(await looked(() => database.admin.query(renamed), 'sung')).toBe(false)
  expect(await looked(does('ALTER FUNCTION reads(int) RENAME TO wrote'), 'catalogued')).toBe(false)
})

it('takes it for nothing when it was of what had the name in between, also while a migration was under way', async () => {
  await database.sql.query(`CREATE TABLE twin (LIKE noted INCLUDING ALL);
    INSERT INTO twin SELECT id, 'other', note FROM noted`)
  await untilOthersHaveEnded()
  const columns = `ALTER TABLE noted RENAME note TO third; ALTER TABLE noted RENAME other TO note; ALTER TABLE noted RENAME third TO other`
  const tables = `ALTER TABLE noted RENAME TO third; ALTER TABLE twin RENAME TO noted; ALTER TABLE third RENAME TO twin`
  for (const exchange of [columns, tables]) {
    expect(await looked(does(exchange), 'noted', { before: does(exchange) }), exchange).toBe(false)
    const migration = await session(database, 'migration')
    let ended: Promise<unknown> = Promise.resolve()
    const before = async () => {
      await migration.query(`BEGIN; ${exchange}`)
      ended = expect.poll(() => waiting(database)).toBe(1)
      ended = ended.then(() => migration.query('COMMIT'))
    }
    const back = async () => {
      await ended
      await database.sql.query(exchange)
    }
    expect(await looked(back, 'noted', { before }), `${exchange}, under way`).toBe(false)
  }
  await database.sql.query(`DROP TABLE twin; CREATE SCHEMA green; CREATE TABLE green.noted (LIKE noted INCLUDING ALL);
    INSERT INTO green.noted SELECT id, 'other', note FROM noted`)
  await untilOthersHaveEnded()
  const schemas = `ALTER SCHEMA public RENAME TO blue; ALTER SCHEMA green RENAME TO public; ALTER SCHEMA blue RENAME TO green`
  const stages = { before: does(schemas), during: does(schemas) }
  expect(await looked(does('SELECT'), 'noted', stages), schemas).toBe(false)
  await database.sql.query('DROP SCHEMA green CASCADE')
})

it.runIf(isFull)(
  `hashes a table once, before its locks, unless it was written to since; then once more under them ${inFullForm}`,
  async () => {
    const { sql, clients } = database
    const { backupId } = await backUpNight(clients, { pagesPerShard: 64, rehearse: false })
    const connect = clients.connect
    const passes: Record<string, number> = {}
    let meanwhile: string | null = null
    const counting = {
      ...clients,
      connect: async () => {
        const connection = await connect()
        const query = connection.query.bind(connection) as (...given: unknown[]) => Promise<unknown>
        const counted = (...given: unknown[]) => {
          const text = String(given[0])
          if (text.includes('AS at, f.* FROM ('))
            for (const [, name = ''] of text.matchAll(/FROM ONLY "public"\."(\w+)"/g))
              passes[name] = (passes[name] ?? 0) + 1
          if (meanwhile === null || !text.includes('ACCESS EXCLUSIVE')) return query(...given)
          const write = meanwhile
          meanwhile = null
          return sql.query(write).then(() => query(...given))
        }
        return Object.assign(connection, { query: counted })
      },
    }
    const restored = async (written: string | null) => {
      for (const name of Object.keys(passes)) delete passes[name]
      await sql.query(`UPDATE noted SET note = 'y' WHERE id = 100`)
      await untilOthersHaveEnded()
      meanwhile = written
      await restoreNight(counting, backupId)
      const found = await sql.query(
        `SELECT count(*)::int AS rows FROM noted WHERE note = md5(id::text) AND other = 'o'`,
      )
      expect(found.rows).toEqual([{ rows: 2700 }])
    }
    await restored(null)
    expect(passes).toMatchObject({ noted: 1, split_low: 1, split_high: 1, felt: 2 })
    await restored(`UPDATE noted SET other = 'o' WHERE id = 2000`)
    expect(passes).toMatchObject({ noted: 2, split_low: 1 })
    const other = `UPDATE noted SET other = 'x' WHERE id = 2900`
    await expect(restored(other)).rejects.toThrow(
      /noted has changed since it was looked in which rows it differs/,
    )
    await expect(restored(`UPDATE split SET note = 'x' WHERE id = 50`)).rejects.toThrow(
      /split_low held what the backup does/,
    )
    await sql.query('UPDATE split SET note = md5(id::text) WHERE id = 50')
    await restored(null)
  },
)

const gaps = rounds({ short: 1, full: 100 })
it.runIf(isFull)(
  `is never taken for what is there when it is not, in ${gaps} random gaps beside writers ${inFullForm}`,
  asFound,
  async () => {
    const seed = Date.now() % 2 ** 31
    const draw = randomFrom(seed)
    const some = [
      () => 'SELECT 1',
      () => `UPDATE noted SET note = note || 'x' WHERE id = ${draw(3000)}`,
      () => `DELETE FROM noted WHERE id = ${draw(3000)}`,
      () => `INSERT INTO noted VALUES (${draw(3000)}, 'n', 'o') ON CONFLICT DO NOTHING`,
      () => 'VACUUM noted',
      () => 'VACUUM (FREEZE) noted',
      () => 'VACUUM FULL noted',
      () => 'ALTER TABLE noted DROP COLUMN other; ALTER TABLE noted ADD COLUMN other text',
    ]
    const others = [await session(database, 'one'), await session(database, 'other')]
    const open = [false, false]
    const counts = { gaps, stood: 0 }
    const act = async () => {
      const which = draw(2)
      const other = others[which]!
      const kind = draw(open[which] ? 4 : some.length)
      if (!open[which] && draw(2) === 0 && !open[1 - which]) {
        open[which] = true
        await other.query(`BEGIN; ${some[draw(4)]!()}`)
      } else if (open[which] && draw(3) > 0) {
        open[which] = false
        await other.query(draw(3) > 0 ? 'COMMIT' : 'ROLLBACK')
      } else if (!open[which] && !open[1 - which]) await other.query(some[kind]!())
    }
    expect(await looked(does('SELECT'))).toBe(true)
    for (let round = 0; round < gaps; round++) {
      for (let more = draw(3); more > 0; more--) await act()
      const meanwhile = async () => {
        for (let more = 1 + draw(4); more > 0; more--) await act()
      }
      if (await looked(meanwhile)) counts.stood++
    }
    tried('looks that are taken for what is there', counts)
  },
)
