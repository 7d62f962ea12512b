import { beforeEach, describe, expect, it } from 'vitest'
import { sealed } from '../../lib/backup/digest.ts'
import { putJson } from '../../lib/backup/documents/write.ts'
import { backupKeys } from '../../lib/backup/layout.ts'
import type { Manifest } from '../../lib/backup/manifest.ts'
import type { DatabaseSection, TableDefinition } from '../../lib/backup/sections/database.ts'
import { addFingerprints } from '../../lib/backup/sections/fingerprint.ts'
import {
  compareBackup,
  compareExported,
  compareVerified,
  loadExported,
} from '../../lib/database/load/rehearse.ts'
import type { LoadedBackup } from '../../lib/database/load/sources.ts'
import { type DatabaseRestored, restoreDatabase } from '../../lib/database/restore/restore.ts'
import { DatabasePlan } from '../../lib/database/schema/plan.ts'
import { ensureScratch } from '../../lib/database/scratch/create.ts'
import { wipeDatabase } from '../../lib/database/wipe/wipe.ts'
import { BackupIsStale, RehearsalFailed, SchemaChanged } from '../../lib/errors.ts'
import { readSeed } from '../../lib/ledger/environment.ts'
import type { RunRef } from '../../lib/ledger/run-ref.ts'
import { withConnection } from '../../lib/postgres/with-connection.ts'
import { databaseOf, type Plan, plannedRun, restoredBy } from '../../lib/run/planning/plan.ts'
import { rehearse } from '../../local/cli/upload/rehearse.ts'
import { backUp, catalogOf, planReset, readBackup, useDatabase } from '../database/database-stack.ts'
import { postgresMajor } from '../support/server-version.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import { load, planRestore, readBackupOf } from './steps.ts'

const database = useDatabase()

beforeEach(async () => {
  await database.sql.query(`SET TimeZone = 'UTC'; DROP SCHEMA public CASCADE; CREATE SCHEMA public;
    CREATE DOMAIN yes AS bool; CREATE TABLE t (id int PRIMARY KEY, doc json, at timestamptz, tags text[], yes yes DEFAULT true);
    INSERT INTO t SELECT g, E'{ "n":\\n1 }', '2026-11-22T12:00:00Z', ARRAY['a,b', NULL] FROM generate_series(1, 500) g`)
})

/** The plan as a version of before fingerprints had a seed wrote it, and as the steps of this one read it. */
function planOfBefore(plan: Plan): Plan {
  const { fingerprints: _, ...database } = plan.database as DatabasePlan
  return { ...plan, database: DatabasePlan.parse(database) }
}

const rows = async () => (await database.sql.query('SELECT t::text FROM t ORDER BY id')).rows

/** The states "Wipe database", and later those of a restore. */
async function wipe(plan: Plan): Promise<void> {
  await wipeDatabase(database.clients, databaseOf(plan))
}

async function restore(backupId: string, asked: { safetyBackup?: boolean } = {}): Promise<DatabaseRestored> {
  const { clients } = database
  const plan = await planRestore(clients, backupId, asked)
  await load(clients, plan)
  const restored = { run: plannedRun(plan), ...restoredBy(plan) }
  await compareBackup(clients, restored)
  const backup = await readBackupOf(clients, { ...plan, backupId })
  return restoreDatabase(clients, { ...databaseOf(plan), backup, backupId: plan.backupId })
}

const seedOf = () => withConnection(database.clients, readSeed)
const forgetSeed = () =>
  database.admin.query('UPDATE taskmaster_reset.environment SET fingerprint_seed = NULL')

describe('a backup', () => {
  it('has the version 2, and the seed of its environment', async () => {
    const manifest = await backUp(database.clients, await planReset(database.clients))
    expect(manifest).toMatchObject({ version: 2, database: { seed: await seedOf() } })
  })

  it.runIf(isFull)(
    `of the same rows has other fingerprints in another environment ${inFullForm}`,
    async () => {
      const print = ({ database }: Manifest) => database?.tables.map(({ fingerprint }) => fingerprint)
      const one = await backUp(database.clients, await planReset(database.clients))
      const again = await backUp(database.clients, await planReset(database.clients))
      await forgetSeed()
      const other = await backUp(database.clients, await planReset(database.clients))
      expect(print(again)).toEqual(print(one))
      expect(print(other)).not.toEqual(print(one))
      expect(other.database?.rows).toBe(one.database?.rows)
    },
  )

  it.runIf(isFull)(
    `is wiped by and restored though its environment got another seed since: its own counts ${inFullForm}`,
    async () => {
      const before = await rows()
      const plan = await planReset(database.clients)
      const manifest = await backUp(database.clients, plan)
      await forgetSeed()
      await database.sql.query(`UPDATE t SET tags = '{}' WHERE id = 7`) // goes into a late file
      const changed = await rows()
      await wipe(plan)
      expect(await rows()).toEqual([])
      const { late, tables } = await readBackup(database.clients, manifest.backupId)
      expect(late).toMatchObject({ version: 2, tables: [{ name: 'public.t' }] })
      expect(tables[0]?.fingerprint).toBe(
        addFingerprints((late?.tables[0]?.parts ?? []).map((part) => part.fingerprint)),
      )
      await restore(manifest.backupId)
      expect(await rows()).toEqual(changed)
      expect(changed).not.toEqual(before)
    },
  )
})

describe('values of types of the application', () => {
  it.runIf(isFull)(
    `come back as they were, whatever its casts to and from text make of them ${inFullForm}`,
    async () => {
      await database.sql.query(`CREATE TYPE amount AS (value numeric, unit text);
      CREATE FUNCTION rounded(amount) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT format('(%s,%s)', round(($1).value), ($1).unit) $$;
      CREATE CAST (amount AS text) WITH FUNCTION rounded(amount);
      CREATE FUNCTION parsed(text) RETURNS amount LANGUAGE sql IMMUTABLE AS $$ SELECT (0, $1)::amount $$;
      CREATE CAST (text AS amount) WITH FUNCTION parsed(text) AS IMPLICIT;
      CREATE TYPE grade AS ENUM ('a', 'b');
      CREATE FUNCTION graded(grade) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'a' $$;
      CREATE FUNCTION document(grade) RETURNS json LANGUAGE sql IMMUTABLE AS $$ SELECT '"a"'::json $$;
      CREATE CAST (grade AS text) WITH FUNCTION graded(grade); CREATE CAST (grade AS json) WITH FUNCTION document(grade);
      CREATE DOMAIN padded AS bpchar; CREATE DOMAIN price AS amount;
      CREATE TABLE cast_away (amount amount, price price, grade grade, padded padded, yes yes);
      INSERT INTO cast_away VALUES ('(1.25,EUR)', '(1.25,EUR)'::amount, 'b', 'x  ', 't'), ('(1.5,)', NULL, NULL, '', 'f'), ('(,)', NULL, 'a', NULL, NULL)`)
      const held = async () =>
        (await database.sql.query('SELECT c::text FROM cast_away AS c ORDER BY 1')).rows
      const before = await held()
      const plan = await planReset(database.clients)
      const { backupId } = await backUp(database.clients, plan)
      await wipe(plan)
      expect(await held()).toEqual([])
      await restore(backupId)
      expect(await held()).toEqual(before)
    },
  )
})

describe('a run that an earlier version planned', () => {
  it('goes on with its fingerprints, and seals, wipes and restores a backup of version 1, of which no row is left alone', async () => {
    const plan = planOfBefore(await planReset(database.clients))
    const manifest = await backUp(database.clients, plan)
    expect(manifest.version).toBe(1)
    expect(manifest.database).not.toHaveProperty('seed')
    const answer = await database.sql.query(
      `SELECT sum(hashtextextended(row_to_json(v.*)::text, 0))::text AS fingerprint
       FROM t CROSS JOIN LATERAL (SELECT id, doc::text, at, tags::text, yes::text) AS v`,
    )
    expect(manifest.database?.tables[0]?.fingerprint).toBe(answer.rows[0].fingerprint)
    await database.sql.query('INSERT INTO t VALUES (501)')
    const before = await rows()
    await wipe(plan)
    const { late } = await readBackup(database.clients, manifest.backupId)
    expect(late?.version).toBe(1)
    await database.sql.query(`INSERT INTO t VALUES (1)`)
    await restore(manifest.backupId)
    expect(await rows()).toEqual(before)
    // Its hashes begin with nothing secret, so equal sums are no equal rows.
    const again = await restore(manifest.backupId, { safetyBackup: false })
    expect(again).toMatchObject({ unchanged: [], differing: [] })
    expect(await rows()).toEqual(before)
  })
})

describe('a copy of a table that was made while a migration had another type there, which was taken back since,', () => {
  const asMigrated = async (plan: Plan, tables: readonly TableDefinition[]) => {
    await database.sql.query('ALTER TABLE t ALTER id TYPE text')
    const { runId } = plannedRun(plan)
    await withConnection(database.clients, (connection) => ensureScratch(connection, { runId, tables }))
    await database.sql.query('ALTER TABLE t ALTER id TYPE int USING id::int')
  }

  it('is told as a migration, and not as a backup that gives other rows', async () => {
    const { clients, sql } = database
    const manifest = await backUp(clients, await planReset(clients))
    const tables = manifest.database?.tables ?? []
    await sql.query('DELETE FROM t WHERE id = 1')
    const before = await rows()
    const plan = await planRestore(clients, manifest.backupId, { safetyBackup: false })
    await asMigrated(plan, tables)
    await load(clients, plan)
    const loaded = { run: plannedRun(plan), ...restoredBy(plan) }
    await expect(compareBackup(clients, loaded)).rejects.toThrow(SchemaChanged)
    await expect(compareBackup(clients, loaded)).rejects.toThrow(/public\.t was migrated .*start again/)
    expect(await rows()).toEqual(before)
  })

  it.runIf(isFull)(`ends a rehearsal as any migration since the run began ${inFullForm}`, async () => {
    const { clients } = database
    const planned = { ...(await planReset(clients, { takeOver: false })), rehearse: true }
    const { tables } = await catalogOf(clients)
    const exported = databaseOf(planned)
    const rehearsing = backUp(clients, planned, async () => {
      await asMigrated(planned, tables)
      await loadExported(clients, { ...exported, batch: 0 }, async () => {})
      await compareExported(clients, { ...exported, wipes: false })
    })
    await expect(rehearsing).rejects.toThrow(BackupIsStale)
  })
})

describe('what a backup of another major version of the server is refused with names both', () => {
  /** Restored on a server that is newer, or older, as its manifest says; `meanwhile` is done before the step that has to refuse. */
  async function ofAnother(
    serverVersion: string,
  ): Promise<{ plan: Plan; loaded: LoadedBackup & { run: RunRef } }> {
    const { clients, storage, sql } = database
    const manifest = await backUp(clients, await planReset(clients))
    const written = { ...manifest, database: { ...(manifest.database as object), serverVersion } }
    const { manifest: key } = backupKeys(clients.config.BACKUP_PREFIX, manifest.backupId)
    await putJson(storage, key, sealed(clients.config.SIGNING_KEYS, written))
    await sql.query('DELETE FROM t WHERE id = 1')
    const plan = await planRestore(clients, manifest.backupId, { safetyBackup: false })
    return { plan, loaded: { run: plannedRun(plan), ...restoredBy(plan) } }
  }

  it('when its rows are others by what this one writes, in the copies and in the live tables', async () => {
    const { clients, admin } = database
    const { plan, loaded } = await ofAnother('12.9')
    await load(clients, plan)
    const backup = await readBackupOf(clients, { ...plan, backupId: loaded.backupId })
    const { rows: found } = await admin.query(
      `SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname LIKE 'taskmaster_scratch_%' AND tablename ~ '^t\\d'`,
    )
    await admin.query(`UPDATE ${found[0].name} SET doc = '{ "n": 2 }' WHERE id = 250`)
    const both = new RegExp(
      `public\\.t has its 500 rows, but at least one .*PostgreSQL 12\\.9 wrote the backup, and this is ${postgresMajor}\\..* of the version that wrote it`,
    )
    const restoring = restoreDatabase(clients, { ...databaseOf(plan), backup, backupId: plan.backupId })
    await expect(restoring).rejects.toThrow(both)
    const comparing = compareBackup(clients, loaded)
    await expect(comparing).rejects.toThrow(RehearsalFailed)
    await expect(comparing).rejects.toThrow(both)
  })

  it.runIf(isFull)(`when a type does not read them ${inFullForm}`, async () => {
    const { clients, sql } = database
    await sql.query(
      `CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE TABLE moods (m mood); INSERT INTO moods VALUES ('sad')`,
    )
    const { plan, loaded } = await ofAnother('12.9')
    await sql.query(`TRUNCATE moods; ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'`)
    const loading = load(clients, plan)
    await expect(loading).rejects.toThrow(SchemaChanged)
    const both = /public\.moods .*PostgreSQL 12\.9 wrote the backup/
    await expect(loading).rejects.toThrow(both)
    const held = (await readBackupOf(clients, { ...plan, backupId: loaded.backupId }))
      .database as DatabaseSection
    const uploaded = { runId: 'an-upload', database: held, original: held, check: () => {} }
    const uploading = withConnection(clients, (connection) => rehearse(clients, connection, uploaded))
    await expect(uploading).rejects.toThrow(both)
  })
})

describe('rows that changed after they were loaded', () => {
  it.each(isFull ? [1, 2] : [2])('are noticed before a backup of version %i is restored', async (version) => {
    const planned = await planReset(database.clients)
    const { backupId } = await backUp(database.clients, version === 1 ? planOfBefore(planned) : planned)
    await database.sql.query('DELETE FROM t WHERE id = 1') // what is the backup's already would not be loaded
    const plan = await planRestore(database.clients, backupId)
    await load(database.clients, plan)
    const loaded = { run: plannedRun(plan), ...restoredBy(plan) }
    await compareBackup(database.clients, loaded)
    const { rows: found } = await database.admin.query(
      `SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname LIKE 'taskmaster_scratch_%' AND tablename ~ '^t\\d'`,
    )
    await database.admin.query(`UPDATE ${found[0].name} SET doc = '{ "n": 1 }' WHERE id = 250`)
    await expect(compareBackup(database.clients, loaded)).rejects.toThrow(
      /public\.t has its 500 rows, but at least one/,
    )
  })

  const noticed = [
    [
      'are noticed before the COMMIT when the backup was rehearsed, so that nobody compares them before; a verify does',
      '',
    ],
    [
      'are noticed so as well in a table of which generated columns may come back otherwise',
      'ADD made int GENERATED ALWAYS AS (id % 7) STORED',
    ],
  ] as const
  it.each(noticed.slice(isFull ? 0 : 1))('%s', async (_, alter) => {
    const { clients, sql, admin } = database
    if (alter !== '') await sql.query(`ALTER TABLE t ${alter}`)
    const rehearsed = { ...(await planReset(clients)), rehearse: true }
    const { rehearsedAt, backupId } = await backUp(clients, rehearsed, async () => {
      await loadExported(clients, { ...databaseOf(rehearsed), batch: 0 }, async () => {})
      await compareExported(clients, { ...databaseOf(rehearsed), wipes: false })
    })
    expect(rehearsedAt).not.toBeNull()
    await sql.query('DELETE FROM t WHERE id > 100')
    const before = await rows()
    const plan = await planRestore(clients, backupId)
    await load(clients, plan)
    const { rows: found } = await admin.query(
      `SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname LIKE 'taskmaster_scratch_%' AND tablename ~ '^t\\d'`,
    )
    await admin.query(`UPDATE ${found[0].name} SET doc = '{ "n": 2 }' WHERE id = 250`)
    const loaded = { run: plannedRun(plan), ...restoredBy(plan) }
    await compareBackup(clients, loaded)
    const differs = /public\.t has its 500 rows, but at least one/
    const backup = await readBackupOf(clients, { ...plan, backupId })
    const restoring = restoreDatabase(clients, { ...databaseOf(plan), backup, backupId: plan.backupId })
    await expect(restoring).rejects.toThrow(differs)
    expect(await rows()).toEqual(before)
    await expect(compareVerified(clients, loaded)).rejects.toThrow(differs)
  })
})
