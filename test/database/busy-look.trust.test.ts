import { beforeEach, describe, expect, it } from 'vitest'
import type { Clients } from '../../lib/clients.ts'
import { tryReplace } from '../../lib/database/load/trial-replace.ts'
import { restoreDatabase } from '../../lib/database/restore/restore.ts'
import { wipeDatabase } from '../../lib/database/wipe/wipe.ts'
import { withConnection } from '../../lib/postgres/with-connection.ts'
import { databaseOf } from '../../lib/run/planning/plan.ts'
import { load, planRestore, readBackupOf } from '../restore/steps.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import { backUp, configured, planReset, session, useDatabase } from './database-stack.ts'

const database = useDatabase()
let clients: Clients

beforeEach(async () => {
  clients = configured(database.clients, { DATABASE_SCHEMAS: ['app'], LOCK_TIMEOUT_MS: 20_000 })
  await database.sql.query(`DROP SCHEMA IF EXISTS app CASCADE; CREATE SCHEMA app;
    CREATE TABLE app.people (id int PRIMARY KEY, name text);
    INSERT INTO app.people SELECT g, 'person ' || g FROM generate_series(1, 50) g;
    CREATE TABLE app.schema_migrations (version text)`)
})

const endOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'done',
    (error: Error) => `${error.name}: ${error.message}`,
  )

/** Clients whose first look at the tables under the locks is refused, since somebody has locked one of them until then; `before` it. */
async function busyAtTheLook(before = async () => {}) {
  const other = await session(database, 'a migration')
  let looks = 0
  const connect = async () => {
    const connection = await clients.connect()
    const query = connection.query.bind(connection) as (...given: unknown[]) => Promise<unknown>
    const late = async (...given: unknown[]) => {
      const isFirst = JSON.stringify(given[0]).includes('pg_table_size(c.oid) AS bytes') && ++looks === 1
      if (!isFirst) return query(...given)
      await other.query('BEGIN; LOCK TABLE app.schema_migrations')
      await before()
      return query(...given).finally(() => other.query('COMMIT'))
    }
    return Object.assign(connection, { query: late })
  }
  return { own: { ...clients, connect } as Clients, looks: () => looks }
}

describe('a table that is not locked by the step, and that somebody has locked for a moment', () => {
  it('makes a wipe begin again', async () => {
    const plan = await planReset(clients)
    await backUp(clients, plan)
    const { own, looks } = await busyAtTheLook()
    expect(await endOf(wipeDatabase(own, databaseOf(plan)))).toBe('done')
    expect(looks()).toBe(2)
  })
  it('makes a restore begin again', async () => {
    const backedUp = await planReset(clients)
    await backUp(clients, backedUp)
    await database.sql.query('DELETE FROM app.people WHERE id = 50') // a table that is as it was is not loaded
    const plan = await planRestore(clients, backedUp.backupId)
    await load(clients, plan)
    const backup = await readBackupOf(clients, backedUp)
    const { own } = await busyAtTheLook()
    expect(await endOf(restoreDatabase(own, { ...databaseOf(plan), backup }))).toBe('done')
  })
  it('makes the trial of a restore begin again', async () => {
    const backedUp = await planReset(clients)
    await backUp(clients, backedUp)
    await database.sql.query('DELETE FROM app.people WHERE id = 50') // a table that is as it was is not loaded
    const plan = await planRestore(clients, backedUp.backupId)
    await load(clients, plan)
    const { database: held } = await readBackupOf(clients, backedUp)
    const { own } = await busyAtTheLook()
    const trying = withConnection(own, (connection) =>
      tryReplace(own, connection, { ...databaseOf(plan), tables: held!.tables, reading: ['index x'] }),
    )
    expect(await endOf(trying)).toBe('done')
  })
  it.runIf(isFull)(
    `and tables that are not to be had then are no reason to say that rows are refused ${inFullForm}`,
    async () => {
      const backedUp = await planReset(clients)
      await backUp(clients, backedUp)
      await database.sql.query('DELETE FROM app.people WHERE id = 50') // a table that is as it was is not loaded
      const plan = await planRestore(clients, backedUp.backupId)
      await load(clients, plan)
      const { database: held } = await readBackupOf(clients, backedUp)
      const idle = await session(database, 'idle')
      // Waits for our lock, and has the table when it is given back.
      const { own } = await busyAtTheLook(async () => {
        void idle.query('BEGIN; SELECT FROM app.people').catch(() => {})
        const waits = `SELECT FROM pg_locks WHERE relation = 'app.people'::regclass AND NOT granted`
        await expect.poll(async () => (await database.admin.query(waits)).rowCount).toBe(1)
      })
      const short = configured(own, { LOCK_TIMEOUT_MS: 5000 })
      const trying = withConnection(short, (connection) =>
        tryReplace(short, connection, { ...databaseOf(plan), tables: held!.tables, reading: ['index x'] }),
      )
      expect(await endOf(trying)).toMatch(/^DatabaseBusy: The tables could not be locked/)
    },
  )
})
