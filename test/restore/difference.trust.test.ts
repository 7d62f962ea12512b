import { GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import { beforeAll, expect, it } from 'vitest'
import { readBackup } from '../../lib/backup/read.ts'
import type { BackedUpTable } from '../../lib/backup/sections/database.ts'
import { fingerprintFormatOf } from '../../lib/backup/sections/fingerprint.ts'
import { compareBackup } from '../../lib/database/load/rehearse.ts'
import { readRestored } from '../../lib/database/load/sources.ts'
import { findDiffering, readLive } from '../../lib/database/restore/differing.ts'
import { type DatabaseRestored, restoreDatabase } from '../../lib/database/restore/restore.ts'
import { noteSpared } from '../../lib/database/restore/spared.ts'
import { ensureScratch } from '../../lib/database/scratch/create.ts'
import { dropScratch } from '../../lib/database/scratch/drop.ts'
import { scratchTableOf } from '../../lib/database/scratch/schema.ts'
import { BackupIsStale } from '../../lib/errors.ts'
import { withConnection } from '../../lib/postgres/with-connection.ts'
import { databaseOf, plannedRun, restoredBy } from '../../lib/run/planning/plan.ts'
import { randomFrom } from '../backup/damages.ts'
import { configured, session, useDatabase } from '../database/database-stack.ts'
import { backUpNight } from '../database/nights.ts'
import { asFound, inFullForm, isFull, rounds, tried } from '../support/trust.ts'
import { dump } from './dump.ts'
import { load, planRestore } from './steps.ts'
import { makeTorture, tortureSchemas } from './torture.ts'

const differences = rounds({ short: 1, full: 15 })
const database = useDatabase()
let first: string
let before: Record<string, unknown>

beforeAll(async () => {
  const { sql, admin } = database
  await makeTorture(sql, admin)
  await sql.query(large)
  await sql.query('ALTER TABLE elsewhere.watchers DROP CONSTRAINT watchers_author_fkey') // a backup would be refused
  first = (await backUpNight(clientsOf(), { pagesPerShard: 64, rehearse: true })).backupId
  await sql.query('ALTER TABLE elsewhere.watchers ADD FOREIGN KEY (author) REFERENCES app.authors')
  before = await dump(admin)
})

const clientsOf = () => configured(database.clients, { DATABASE_SCHEMAS: tortureSchemas })

/**
 * Tables large enough that single rows are exchanged: with a key and indexes, referenced by rows that would go or lose what
 * they refer to with their parents, and by themselves; without a key, every row thrice; and a partition.
 */
const large = `
CREATE TABLE app.many (id int PRIMARY KEY, up int REFERENCES app.many ON DELETE CASCADE, code text UNIQUE, note text, at timestamptz);
INSERT INTO app.many SELECT g, nullif(g / 2, 0), 'code ' || g, repeat(md5(g::text), 1 + g % 9), to_timestamp(g) FROM generate_series(1, 5000) g; CREATE INDEX ON app.many (note);
CREATE TABLE app.of_many (id int PRIMARY KEY, many int NOT NULL REFERENCES app.many ON DELETE CASCADE, strict int REFERENCES app.many ON DELETE RESTRICT);
INSERT INTO app.of_many SELECT g, g, g FROM generate_series(1, 2000) g;
CREATE TABLE app.thrice (n int, note text, kind app.mood, list int[]); INSERT INTO app.thrice SELECT g / 3, md5((g / 3)::text), 'sad', ARRAY[g / 3, NULL] FROM generate_series(0, 3999) g;
CREATE TABLE app.split (id int, note text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE app.split_low PARTITION OF app.split FOR VALUES FROM (0) TO (2000); CREATE TABLE app.split_high PARTITION OF app.split DEFAULT;
INSERT INTO app.split SELECT g, md5(g::text) FROM generate_series(1, 4500) g;
CREATE TRIGGER spoil BEFORE INSERT OR DELETE ON app.many FOR EACH ROW EXECUTE FUNCTION app.spoil();`

/** Makes few rows of a large table others. Of each some in a row, some far apart. */
function fewOf(name: string, draw: (below: number) => number): string {
  const column = name === 'app.thrice' ? 'n' : 'id'
  const some = [`${column} % ${37 + draw(60)} = 0`, `${column} > ${1900 + draw(60)} AND ${column} < 1990`][
    draw(2)
  ]
  const columns = {
    'app.many': 'id, up, code, note, at',
    'app.of_many': 'id, many, strict',
    'app.thrice': 'n, note, kind, list',
  }[name]
  const copied = columns ?? 'id, note'
  const other =
    name === 'app.thrice' ? copied : copied.replace('id', 'id + 100000').replace('code', `code || 'x'`)
  return [
    `DELETE FROM ONLY ${name} WHERE ${some}`,
    `UPDATE ONLY ${name} SET ${copied.includes('note') ? `note = 'other ' || note` : 'strict = NULL'} WHERE ${some}`,
    `INSERT INTO ${name} (${copied}) SELECT ${other} FROM ONLY ${name} WHERE ${some} ON CONFLICT DO NOTHING`,
    `WITH gone AS (DELETE FROM ONLY ${name} WHERE ${some} RETURNING *) INSERT INTO ${name} SELECT * FROM gone`,
  ][name === 'app.split_low' ? draw(2) : draw(4)] as string
}
const largeOnes = ['app.many', 'app.of_many', 'app.thrice', 'app.split_low', 'app.split_high']

/** Every relation that holds rows of the backup, with the file in which it lies: TRUNCATE gives it another. */
async function filesOf(): Promise<Map<string, string>> {
  const found = await database.admin.query(
    `SELECT format('%I.%I', nspname, relname) AS name, pg_relation_filenode(c.oid)::text || ' ' || c.relname AS file FROM pg_class c
     JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = ANY($1) AND relkind = 'r' ORDER BY 1`,
    [tortureSchemas],
  )
  return new Map(found.rows.map(({ name, file }) => [name, file]))
}

/**
 * Takes every second row of some tables away, whatever refers to it, changes few of the large ones, and moves sequences.
 * @returns the first
 */
async function change(draw: (below: number) => number): Promise<Set<string>> {
  const { admin } = database
  const changed = new Set<string>()
  await admin.query(`SET session_replication_role = 'replica'`)
  const most = 1 + draw(9)
  for (const name of (await filesOf()).keys()) {
    if (draw(10) >= (largeOnes.includes(name) ? 6 : most)) continue
    if (largeOnes.includes(name) && draw(6) > 0) {
      for (let more = draw(3); more >= 0; more--) await admin.query(fewOf(name, draw))
      continue
    }
    const { rowCount } = await admin.query(
      `DELETE FROM ONLY ${name} WHERE ctid = ANY(SELECT ctid FROM (SELECT ctid, row_number() OVER () AS n FROM ONLY ${name}) r WHERE n % 2 = 1)`,
    )
    if ((rowCount ?? 0) > 0) changed.add(name)
  }
  await admin.query(`RESET session_replication_role`)
  await admin.query(`SELECT nextval('app.fresh'), setval('app.serials_id_seq', ${1 + draw(5)})`)
  return changed
}

/** The states from "Load backup" to "Restore database", and what Finish takes away. */
async function restore(
  safetyBackup: boolean,
  meanwhile = async () => {},
  planned = async (_runId: string) => {},
): Promise<DatabaseRestored> {
  const clients = clientsOf()
  const plan = await planRestore(clients, first, { safetyBackup })
  await planned(plan.runId)
  await load(clients, plan)
  await compareBackup(clients, { run: plannedRun(plan), ...restoredBy(plan) })
  await meanwhile()
  try {
    const restored = await restoreDatabase(clients, {
      ...databaseOf(plan),
      backup: await readRestored(clients, restoredBy(plan)),
    })
    // By one that left something alone the time of the next is not estimated.
    const { rows } = await database.sql.query(
      `SELECT (locked->>'bytes')::float8 > 0 AS tells FROM taskmaster_reset.runs WHERE run_id = $1`,
      [plan.runId],
    )
    expect(rows).toEqual([{ tells: restored.unchanged.length + restored.differing.length === 0 }])
    return restored
  } finally {
    await withConnection(clients, (connection) => dropScratch(connection, plan.runId))
  }
}

const besides = [
  { safetyBackup: true, beside: 'beside a safety backup' },
  { safetyBackup: false, beside: 'without a safety backup' },
]
it.each(besides.filter(({ safetyBackup }) => isFull || !safetyBackup))(
  `touches of ${differences} random differences what differs, and gives back all, $beside`,
  { ...asFound, timeout: 1_200_000 },
  async ({ safetyBackup, beside }) => {
    let [untouched, exchanged] = [0, 0]
    const seed = Date.now() % 2 ** 31
    const draw = randomFrom(seed)
    for (let round = 0; round < differences; round++) {
      const changed = await change(draw)
      const files = await filesOf()
      const { unchanged, differing, warnings } = await restore(safetyBackup)
      expect(warnings, `seed ${seed}`).toEqual([])
      expect(await dump(database.admin), `seed ${seed}, round ${round}, ${[...changed]}`).toEqual(before)
      const after = await filesOf()
      const touched = [...files].filter(([name, file]) => after.get(name) !== file).map(([name]) => name)
      expect(touched).toEqual(expect.arrayContaining([...changed]))
      expect(touched).toHaveLength(files.size - unchanged.length - differing.length)
      untouched += unchanged.length
      exchanged += differing.length
    }
    tried(`restores by difference ${beside}`, { restored: differences, untouched, exchanged })
    expect(untouched).toBeGreaterThan(differences)
    if (isFull) expect(exchanged).toBeGreaterThan(0) // of one difference alone it may be none
  },
)

const written = [
  {
    what: 'that held the rows of the backup',
    before: 'SELECT',
    written: 'UPDATE app.pairs SET b = b || b',
    back: 'UPDATE app.pairs SET b = left(b, 1)',
  },
  {
    what: 'of which only what differed was loaded',
    before: `UPDATE app.thrice SET note = 'x' WHERE n = 5`,
    written: `UPDATE app.thrice SET note = 'y' || note WHERE n = 1200`,
    back: 'UPDATE app.thrice SET note = right(note, -1) WHERE n = 1200',
  },
]
it.runIf(isFull).each(written)(
  `restores nothing of a table $what, and that was written to after it was looked at, and begins again ${inFullForm}`,
  async ({ before: first, written, back }) => {
    const { sql, admin } = database
    await sql.query(first)
    const changed = await dump(admin)
    const other = await session(database, 'application')
    await expect(restore(false, () => other.query(written).then(() => {}))).rejects.toThrow(BackupIsStale)
    await other.query(back)
    expect(await dump(admin)).toEqual(changed)
    await restore(false)
    expect(await dump(admin)).toEqual(before)
  },
)

it('asks S3 nothing about a table that lacks more rows than may differ, for it is filled anew', async () => {
  const { backups, config } = clientsOf()
  const { database: held } = await readBackup(backups, config.BACKUP_PREFIX, first)
  const table = held?.tables.find(({ name }) => name === 'app.thrice') as BackedUpTable
  const s3 = new Proxy(backups.s3, {
    get: (target, name) => {
      if (name === 'send') throw new Error('S3 was asked')
      return Reflect.get(target, name)
    },
  })
  await withConnection(clientsOf(), async (connection) => {
    await connection.query('BEGIN; DELETE FROM app.thrice WHERE n % 2 = 0')
    const looking = { bucket: { ...backups, s3 }, table, format: fingerprintFormatOf(held ?? {}) }
    const live = await readLive(connection, looking)
    expect(await findDiffering(connection, { ...looking, live })).toBeNull()
    await connection.query('ROLLBACK')
  })
})

it.runIf(isFull)(
  `fills tables anew where temp_file_limit bounds the room to look which of their rows differ ${inFullForm}`,
  async () => {
    const { sql, admin } = database
    const name = (await admin.query('SELECT quote_ident(current_database()) AS name')).rows[0].name
    await admin.query(`ALTER DATABASE ${name} SET temp_file_limit = '64MB'`)
    try {
      await sql.query(`UPDATE app.thrice SET note = 'x' WHERE n % 50 = 0`)
      expect(await restore(false)).toMatchObject({ differing: [], warnings: [] })
    } finally {
      await admin.query(`ALTER DATABASE ${name} RESET temp_file_limit`)
    }
    expect(await dump(admin)).toEqual(before)
  },
)

it.runIf(isFull)(
  `puts no row back of a part that is not the one that was backed up, though what it needs of it looks the same ${inFullForm}`,
  async () => {
    await database.admin.query(
      `SET session_replication_role = 'replica'; DELETE FROM ONLY app.many WHERE id = 10; RESET session_replication_role`,
    )
    const { backups: bucket, config } = clientsOf()
    const { database: held } = await readBackup(bucket, config.BACKUP_PREFIX, first)
    const Key = held?.tables.find(({ name }) => name === 'app.many')?.parts[0]?.key ?? ''
    const at = { Bucket: bucket.name, Key }
    const { Body } = await bucket.s3.send(new GetObjectCommand(at))
    const real = Buffer.from((await Body?.transformToByteArray()) ?? [])
    const other = Buffer.from(real)
    other.writeUInt8(other.readUInt8(other.length - 1) ^ 1, other.length - 1) // of its last range
    await bucket.s3.send(new PutObjectCommand({ ...at, Body: other }))
    await expect(restore(false)).rejects.toThrow(new RegExp(`${Key.replaceAll('.', '\\.')} has the SHA-256`))
    await bucket.s3.send(new PutObjectCommand({ ...at, Body: real }))
    expect((await restore(false)).differing).toEqual(['app.many'])
    expect(await dump(database.admin)).toEqual(before)
  },
)

it.runIf(isFull).each([
  { what: 'changed', how: (table: string) => `UPDATE ${table} SET note = 'y' WHERE n % 50 = 0` },
  { what: 'taken away', how: (table: string) => `DELETE FROM ${table} WHERE n = 50` },
  { what: 'doubled', how: (table: string) => `INSERT INTO ${table} SELECT * FROM ${table} WHERE n = 50` },
])(`puts nothing back of what was loaded to exchange rows and then $what ${inFullForm}`, async ({ how }) => {
  const { sql, admin } = database
  await sql.query(`UPDATE app.thrice SET note = 'x' WHERE n % 50 = 0`)
  const changed = await dump(admin)
  let runId = ''
  const meanwhile = async () => {
    const { oid } = (await admin.query(`SELECT 'app.thrice'::regclass::oid::int8 AS oid`)).rows[0]
    const { schema, table } = scratchTableOf(runId, { oid: Number(oid), columns: [] })
    await admin.query(how(`"${schema}"."${table}"`))
  }
  const planned = async (id: string) => {
    runId = id
  }
  await expect(restore(false, meanwhile, planned)).rejects.toThrow(
    /^The backup was loaded, and what came out is not what went in: app\.thrice/,
  )
  expect(await dump(admin)).toEqual(changed)
  await restore(false)
  expect(await dump(admin)).toEqual(before)
})

it.runIf(isFull)(
  `fills tables anew when other batches have noted so many that differ that their locks would become too many ${inFullForm}`,
  async () => {
    const { sql, admin } = database
    const noteOthers = (many: number) => async (runId: string) =>
      withConnection(clientsOf(), async (connection) => {
        await ensureScratch(connection, { runId, tables: [] })
        const others = Array.from(
          { length: many },
          (_, other) => [`app.other_${other}`, 'differing'] as const,
        )
        await noteSpared(connection, runId, new Map(others))
      })
    for (const [many, differing] of [
      [0, ['app.thrice']],
      [64, []],
    ] as const) {
      await sql.query(`UPDATE app.thrice SET note = 'x' WHERE n % 50 = 0`)
      expect(await restore(false, undefined, noteOthers(many))).toMatchObject({ differing, warnings: [] })
      expect(await dump(admin)).toEqual(before)
    }
  },
)
