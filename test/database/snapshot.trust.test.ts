import { DeleteObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { getJson } from '../../lib/backup/documents/read.ts'
import { workKeys } from '../../lib/backup/layout.ts'
import type { BackedUpTable } from '../../lib/backup/sections/database.ts'
import type { Clients } from '../../lib/clients.ts'
import { DatabaseResult } from '../../lib/database/export/batch.ts'
import { exportDatabase } from '../../lib/database/export/export.ts'
import { loadExported } from '../../lib/database/load/rehearse.ts'
import { countTables } from '../../lib/database/plan/rows/count.ts'
import { withSnapshot } from '../../lib/database/snapshot.ts'
import {
  BackupIsStale,
  DatabaseBusy,
  NotPermitted,
  ReadBackMismatch,
  RowsHidden,
  StoreUnavailable,
} from '../../lib/errors.ts'
import type { Connection } from '../../lib/postgres/connection.ts'
import { databaseError, sqlStateOf } from '../../lib/postgres/errors.ts'
import { withConnection, withConnections } from '../../lib/postgres/with-connection.ts'
import { databaseOf, type Plan } from '../../lib/run/planning/plan.ts'
import { s3Error, startFront } from '../files/s3-front.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import { expectNothingUnhandled } from '../support/unhandled.ts'
import {
  backUp,
  configured,
  keysBelow,
  linesOf,
  noProgress,
  planReset,
  readBackup,
  rowsAsLines,
  session,
  useDatabase,
  waiting,
} from './database-stack.ts'

const database = useDatabase()
let clients: Clients
/** The same, where it is the export that has to give way. */
let impatient: Clients

expectNothingUnhandled()
beforeEach(async () => {
  clients = configured(database.clients, { DATABASE_SCHEMAS: ['app'] })
  impatient = configured(clients, { LOCK_TIMEOUT_MS: 300 })
  await database.admin.query('DROP SCHEMA IF EXISTS app CASCADE')
  await database.sql.query(`CREATE SCHEMA app; CREATE TABLE app.people (id int PRIMARY KEY, name text);
    INSERT INTO app.people SELECT g, repeat('x', 200) || g FROM generate_series(1, 5000) g`)
})

function exportBatch(own: Clients, plan: Plan, progress: (done: number) => Promise<void> = noProgress) {
  return exportDatabase(own, { ...databaseOf(plan), backupId: plan.backupId!, batch: 0 }, progress)
}

/** The lines of the parts that an export reported. */
async function exported(plan: Plan): Promise<string[]> {
  const { parts } = await getJson(database.storage, workKeys(plan).databaseResult(0), DatabaseResult)
  return linesOf(clients, { parts } as unknown as BackedUpTable)
}

/** Sessions of the product that are still there. */
async function openSessions(): Promise<number> {
  const answer = await database.admin.query(
    `SELECT FROM pg_stat_activity WHERE application_name = 'taskmaster-reset' AND datname = current_database()`,
  )
  return answer.rowCount ?? 0
}

describe('an export', () => {
  it('holds the rows of one moment, whatever is written while several connections read them', async () => {
    const plan = await planReset(clients, { pagesPerShard: 8 })
    const expected = await rowsAsLines(database.sql, 'app.people')
    const writer = await session(database, 'writer')
    let steps = 0
    await exportBatch(clients, plan, async (done) => {
      steps = done
      if (done === 1) await expect.poll(openSessions).toBe(3) // and those of Count have ended
      // Moves every row to another page, takes some away, adds others, and lets their old places be used again.
      if (done === 1) await writer.query(`UPDATE app.people SET name = name || '!'`)
      if (done === 2) await writer.query('DELETE FROM app.people WHERE id % 3 = 0')
      if (done === 3) await writer.query('VACUUM app.people')
      if (done === 4)
        await writer.query(`INSERT INTO app.people SELECT g, 'new' FROM generate_series(9000, 9999) g`)
      if (done === 5) await writer.query('ANALYZE app.people')
    })
    await writer.end()
    expect(steps).toBeGreaterThan(10)
    expect(await exported(plan)).toEqual(expected)
  })

  it('is seen alike by all its connections', async () => {
    const tables = [{ schema: 'app', table: 'people' }]
    const counts = await withSnapshot(clients, tables, 3, async (connections) => {
      await database.sql.query('DELETE FROM app.people WHERE id > 10')
      const count = 'SELECT count(*)::int AS rows FROM app.people'
      return Promise.all(connections.map(async (one) => (await one.query(count)).rows[0].rows))
    })
    expect(counts).toEqual([5000, 5000, 5000])
    await expect.poll(openSessions).toBe(0)
  })

  it.each(
    ['TRUNCATE app.people', 'ALTER TABLE app.people ADD COLUMN age int', 'DROP TABLE app.people'].slice(
      0,
      isFull ? undefined : 1,
    ),
  )('lets %s wait until it is done', async (statement) => {
    const plan = await planReset(clients, { pagesPerShard: 8 })
    const expected = await rowsAsLines(database.sql, 'app.people')
    const other = await session(database, 'migration')
    let ended = false
    let changing: Promise<unknown> = Promise.resolve()
    await exportBatch(clients, plan, async (done) => {
      expect(ended).toBe(false)
      if (done === 1) changing = other.query(statement).then(() => (ended = true))
    })
    expect(await exported(plan)).toEqual(expected)
    await changing
    await other.end()
  })

  it('has its tables locked from the beginning, also those that it has not come to yet', async () => {
    const other = await session(database, 'migration')
    await other.query(`SET lock_timeout = '100ms'`)
    await withSnapshot(clients, [{ schema: 'app', table: 'people' }], 1, async () => {
      await expect(other.query('TRUNCATE app.people')).rejects.toThrow('lock timeout')
      await other.query('DELETE FROM app.people WHERE id = 1')
    })
    await other.query('RESET lock_timeout; TRUNCATE app.people')
  })

  it.runIf(isFull)(
    `gives way with DatabaseBusy when a table is locked by another session ${inFullForm}`,
    async () => {
      const plan = await planReset(clients)
      const other = await session(database, 'migration')
      await other.query('BEGIN; LOCK TABLE app.people')
      await expect(exportBatch(impatient, plan)).rejects.toThrow(DatabaseBusy)
      await other.end()
      await exportBatch(clients, plan)
    },
  )

  it('gives way with BackupIsStale when a table is no longer the one that was counted', async () => {
    const plan = await planReset(clients)
    await database.sql.query('ALTER TABLE app.people ADD COLUMN age int')
    await expect(exportBatch(clients, plan)).rejects.toThrow(BackupIsStale)
    await database.sql.query('ALTER TABLE app.people DROP COLUMN name')
    await expect(exportBatch(clients, plan)).rejects.toThrow(BackupIsStale)
    await database.sql.query('DROP TABLE app.people')
    await expect(exportBatch(clients, plan)).rejects.toThrow(BackupIsStale)
  })

  it('writes beside what an earlier try left, and reports only its own parts', async () => {
    const plan = await planReset(clients, { pagesPerShard: 60 })
    await exportBatch(clients, plan)
    const first = await keysBelow(clients, plan)
    await database.sql.query('DELETE FROM app.people WHERE id > 100')
    // The first try died before it told what it had exported.
    const { s3, name: bucket } = clients.backups
    await s3.send(new DeleteObjectCommand({ Bucket: bucket, Key: workKeys(plan).databaseResult(0) }))
    await exportBatch(clients, plan)
    const all = await keysBelow(clients, plan)
    expect(all).toEqual(expect.arrayContaining(first))
    expect(all.length).toBeGreaterThan(first.length)
    expect(await exported(plan)).toEqual(await rowsAsLines(database.sql, 'app.people'))
  })

  it.runIf(isFull)(`of a database without tables is empty ${inFullForm}`, async () => {
    await database.sql.query('DROP TABLE app.people')
    const plan = await planReset(clients)
    expect((await backUp(clients, plan)).database).toMatchObject({ rows: 0, tables: [] })
  })
})

describe('row security', () => {
  it('that hides rows from the role makes the count and the export fail, not short', async () => {
    const plan = await planReset(clients)
    const rows = { name: 'app.people', schema: 'app', table: 'people', keepRows: null }
    await database.sql.query(`ALTER TABLE app.people ENABLE ROW LEVEL SECURITY;
      CREATE POLICY few ON app.people USING (id < 10); ALTER TABLE app.people FORCE ROW LEVEL SECURITY`)
    await expect(countTables(clients, [rows])).rejects.toThrow(RowsHidden)
    await expect(countTables(clients, [{ ...rows, keepRows: 'true' }])).rejects.toThrow(RowsHidden)
    await expect(exportBatch(clients, plan)).rejects.toThrow(RowsHidden)
    await database.sql.query('ALTER TABLE app.people NO FORCE ROW LEVEL SECURITY')
    await exportBatch(clients, plan) // the owner sees every row
  })

  it('of a table that belongs to another role does so too', async () => {
    const role = new URL(database.env.DATABASE_URL!).username
    await database.admin.query(`CREATE TABLE app.secrets (id int); INSERT INTO app.secrets VALUES (1);
      ALTER TABLE app.secrets ENABLE ROW LEVEL SECURITY; GRANT SELECT ON app.secrets TO "${role}"`)
    const secrets = { name: 'app.secrets', schema: 'app', table: 'secrets', keepRows: null }
    await expect(countTables(clients, [secrets])).rejects.toThrow(RowsHidden)
    await database.admin.query('ALTER TABLE app.secrets DISABLE ROW LEVEL SECURITY')
    expect((await countTables(clients, [secrets])).get('app.secrets')?.rows).toBe(1)
  })
})

describe('an export that fails', () => {
  let front: Awaited<ReturnType<typeof startFront>>
  let through: Clients
  beforeAll(async () => {
    front = await startFront(database.env.AWS_ENDPOINT_URL_S3 ?? '')
  })
  afterAll(() => front.stop())
  beforeEach(() => {
    front.faults = []
    const s3 = new S3Client({
      ...{ endpoint: front.url, region: 'us-east-1', forcePathStyle: true, maxAttempts: 1 },
      credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    })
    through = { ...clients, backups: { ...clients.backups, s3 } }
  })

  const refusals: [string, () => ReturnType<typeof s3Error> | 'drop', new (message: string) => Error][] = [
    ['refuses a part', () => s3Error(403, 'AccessDenied'), NotPermitted],
    ['breaks off', () => 'drop', StoreUnavailable],
  ]
  it.each(refusals.slice(isFull ? 0 : 1))(
    'because S3 %s ends all its connections, and leaves no result',
    async (_, answer, error) => {
      const plan = await planReset(clients, { pagesPerShard: 8 })
      let parts = 0
      front.faults.push((request) =>
        request.method === 'PUT' && request.key.includes('/database/') && ++parts > 4 ? answer() : undefined,
      )
      await expect(exportBatch(through, plan)).rejects.toThrow(error)
      await expect.poll(openSessions).toBe(0)
      const keys = await keysBelow(clients, plan)
      expect(keys.length).toBeLessThan(10)
      await expect(exported(plan)).rejects.toThrow(/does not exist/)
    },
  )

  it('because S3 holds something else than was sent says which part', async () => {
    const plan = await planReset(clients, { pagesPerShard: 8 })
    front.faults.push(async (request, forward) => {
      if (request.method !== 'GET' || !request.key.endsWith('00003.jsonl.zst')) return undefined
      const answer = await forward()
      const { 'x-amz-checksum-crc32': __, ...headers } = answer.headers ?? {}
      return { ...answer, headers, body: Buffer.from(answer.body).fill(0, 100, 101) }
    })
    const exporting = exportBatch(through, plan)
    await expect(exporting).rejects.toThrow(ReadBackMismatch)
    await expect(exporting).rejects.toThrow(/app\.people\/00003\.jsonl\.zst was read back as/)
  })

  it('because a connection to the database breaks says so', async () => {
    const plan = await planReset(clients, { pagesPerShard: 8 })
    const exporting = exportBatch(clients, plan, async (done) => {
      if (done !== 2) return
      await database.admin.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE application_name = 'taskmaster-reset' AND datname = current_database() ORDER BY backend_start DESC LIMIT 1`,
      )
    })
    await expect(exporting).rejects.toThrow(StoreUnavailable)
    await expect.poll(openSessions).toBe(0)
  })

  it('because its run was lost stops before its next part', async () => {
    const plan = await planReset(clients, { pagesPerShard: 8 })
    const exporting = exportBatch(clients, plan, async () => {
      throw new Error('lost')
    })
    await expect(exporting).rejects.toThrow('lost')
    const parts = (await keysBelow(clients, plan)).filter((key) => key.endsWith('.jsonl.zst')).length
    expect(parts).toBeLessThanOrEqual(3)
  })
})

describe('a backup of several batches', () => {
  it('is made one point in time: what changed between them is exported again', async () => {
    const several = configured(clients, { EXPORT_BATCH_BYTES: 100_000 })
    await database.sql.query(`CREATE TABLE app.pets (id int, owner int);
      INSERT INTO app.pets SELECT g, g FROM generate_series(1, 3000) g`)
    const plan = await planReset(several)
    expect(plan.database?.batches).toBe(2)
    let batch = 0
    const manifest = await backUp(several, plan, async () => {
      if (batch++ > 0) return
      await database.sql.query(`DELETE FROM app.people WHERE id = 1; DELETE FROM app.pets WHERE owner = 1;
        INSERT INTO app.people VALUES (6000, 'new')`)
    })
    expect(manifest.database?.consistency).toBe('reconciled')
    const { tables } = await readBackup(clients, plan.backupId!)
    expect(
      await linesOf(
        clients,
        tables.find(({ name }) => name === 'app.people'),
      ),
    ).toEqual(await rowsAsLines(database.sql, 'app.people'))
    expect(
      await linesOf(
        clients,
        tables.find(({ name }) => name === 'app.pets'),
      ),
    ).toEqual(await rowsAsLines(database.sql, 'app.pets'))
    const { parts } = tables.find(({ name }) => name === 'app.people')!
    expect(parts.map(({ key }) => key)).toEqual([expect.stringMatching(/00000\.2\.jsonl\.zst$/)])
  })

  it.runIf(isFull)(
    `is loaded with reads that grow with its batches, not with their square ${inFullForm}`,
    async () => {
      const front = await startFront(database.env.AWS_ENDPOINT_URL_S3 ?? '')
      onTestFinished(() => front.stop())
      const s3 = new S3Client({
        ...{ endpoint: front.url, region: 'us-east-1', forcePathStyle: true },
        credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
      })
      const each = configured(clients, { EXPORT_BATCH_BYTES: 1 })
      const readsOf = async (batches: number) => {
        for (let table = 1; table < batches; table++)
          await database.sql.query(`CREATE TABLE IF NOT EXISTS app.t${table} AS SELECT 1 AS id`)
        const plan = await planReset(each)
        expect(plan.database?.batches).toBe(batches)
        await backUp(each, plan)
        front.seen.length = 0
        for (let batch = 0; batch < batches; batch++) {
          const through = { ...each, backups: { ...each.backups, s3 } }
          await loadExported(through, { ...databaseOf(plan), batch }, noProgress)
        }
        return front.seen.filter((request) => request.startsWith('GET ')).length
      }
      const reads = await readsOf(4)
      expect(reads).toBeGreaterThanOrEqual(4)
      expect(await readsOf(12)).toBe(3 * reads)
    },
  )

  it.runIf(isFull)(
    `is not sealed when too much changed, or a table was altered between them ${inFullForm}`,
    async () => {
      const several = configured(clients, { EXPORT_BATCH_BYTES: 100_000, LATE_MAX_BYTES: 1000 })
      await database.sql.query(`CREATE TABLE app.pets AS SELECT generate_series(1, 30000) AS id`)
      const busy = await planReset(several)
      const change = (ddl: string) => async () => void (await database.sql.query(ddl))
      const sealing = backUp(
        several,
        busy,
        change('DELETE FROM app.people WHERE id = (SELECT min(id) FROM app.people)'),
      )
      await expect(sealing).rejects.toThrow(/LATE_MAX_BYTES/)
      const altered = await planReset(several)
      await expect(
        backUp(several, altered, change('ALTER TABLE app.people ADD COLUMN IF NOT EXISTS age int')),
      ).rejects.toThrow(BackupIsStale)
    },
  )
})

it('nothing waits for ever: a lock that is held makes an export end in time', async () => {
  const plan = await planReset(clients)
  const other = await session(database, 'holder')
  await other.query('BEGIN; LOCK TABLE app.people')
  const started = performance.now()
  await expect(exportBatch(impatient, plan)).rejects.toThrow(DatabaseBusy)
  expect(performance.now() - started).toBeLessThan(clients.config.LOCK_TIMEOUT_MS) // that of all others
  await expect.poll(() => waiting(database)).toBe(0)
  await other.end()
})

describe('what Postgres reports is told as what can be done about it:', () => {
  const told = async (connection: Connection, statement: string) => {
    const thrown = await connection.query(statement).catch((error: unknown) => error)
    return [sqlStateOf(thrown), (databaseError(thrown) as Error).name]
  }

  it.each(
    [
      ['42P01', 'BackupIsStale', 'SELECT FROM app.nothing'],
      ['42703', 'BackupIsStale', 'SELECT nothing FROM app.people'],
      ['3F000', 'BackupIsStale', 'CREATE TABLE nowhere.t (id int)'],
      ['42501', 'NotPermitted', 'SELECT FROM pg_catalog.pg_authid'],
      ['0A000', 'PreservationConflict', 'TRUNCATE app.people'],
      ['23503', 'PreservationConflict', 'DELETE FROM app.people'],
    ].slice(0, isFull ? undefined : 2),
  )('%s as %s', async (state, name, statement) => {
    await database.sql.query(`CREATE TABLE app.orders (person int REFERENCES app.people);
      INSERT INTO app.orders VALUES (1)`)
    await withConnection(clients, async (connection) => {
      expect(await told(connection, statement)).toEqual([state, name])
    })
  })

  it('a connection that is refused or broke, in each way that the server and the driver have for it, as StoreUnavailable', () => {
    const told = (message: string, code?: string) =>
      (databaseError(Object.assign(new Error(message), code && { code })) as Error).name
    for (const code of ['08006', '57P01', '57P03']) expect(told('x', code)).toBe('StoreUnavailable')
    for (const message of [
      'Connection terminated unexpectedly',
      'Client has encountered an error and is not queryable',
    ])
      expect(told(message)).toBe('StoreUnavailable')
    expect([told('Connection terminated', '22012'), told('something else')]).toEqual(['Error', 'Error'])
  })

  it('one of several connections that is not to be had: the others are ended, and it is thrown', async () => {
    let asked = 0
    const connect = async () => {
      if (++asked === 2) throw new StoreUnavailable('no more')
      return clients.connect()
    }
    await expect(withConnections({ connect }, 3, async () => 'used')).rejects.toThrow('no more')
    expect(asked).toBe(3)
    await expect.poll(openSessions).toBe(0)
  })

  it.runIf(isFull)(
    `another session that was faster, holds a lock, or waits for ours, as DatabaseBusy ${inFullForm}`,
    () =>
      withConnections(clients, 2, async ([one, other]) => {
        if (one === undefined || other === undefined) throw new Error('There are two connections')
        const rename = (id: number) => `UPDATE app.people SET name = 'x' WHERE id = ${id}`
        await one.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM app.people')
        await other.query(rename(1))
        expect(await told(one, rename(1))).toEqual(['40001', 'DatabaseBusy'])
        await one.query(`ROLLBACK; BEGIN; ${rename(1)}`)
        await other.query('BEGIN; SET LOCAL lock_timeout = 50')
        expect(await told(other, rename(1))).toEqual(['55P03', 'DatabaseBusy'])
        await other.query(`ROLLBACK; BEGIN; ${rename(2)}`)
        const both = await Promise.all([told(one, rename(2)), told(other, rename(1))])
        expect(both).toContainEqual(['40P01', 'DatabaseBusy'])
      }),
  )
})
