import { beforeEach, expect, it } from 'vitest'
import type { Clients } from '../../lib/clients.ts'
import { exportDatabase } from '../../lib/database/export/export.ts'
import { compareBackup, compareExported, loadExported } from '../../lib/database/load/rehearse.ts'
import { DatabaseBusy } from '../../lib/errors.ts'
import { databaseOf, plannedRun, restoredBy } from '../../lib/run/planning/plan.ts'
import { load, planRestore } from '../restore/steps.ts'
import { backUp, configured, noProgress, planReset, session, useDatabase } from './database-stack.ts'

const database = useDatabase()
let clients: Clients

beforeEach(async () => {
  clients = configured(database.clients, { DATABASE_SCHEMAS: ['app'], LOCK_TIMEOUT_MS: 300 })
  await database.sql.query(`DROP SCHEMA IF EXISTS app CASCADE; CREATE SCHEMA app;
    CREATE TABLE app.people (id int PRIMARY KEY, name text);
    INSERT INTO app.people SELECT g, 'person ' || g FROM generate_series(1, 50) g`)
})

/** Clients that find a table locked from the moment on in which the rows are compared: by a migration that does not end. */
async function lockedAtTheCompare() {
  const other = await session(database, 'a migration')
  const connect = async () => {
    const connection = await clients.connect()
    const query = connection.query.bind(connection) as (...given: unknown[]) => Promise<unknown>
    const late = async (...given: unknown[]) => {
      if (given[0] === 'BEGIN') await other.query('BEGIN; LOCK TABLE app.people')
      return query(...given)
    }
    return Object.assign(connection, { query: late })
  }
  return { own: { ...clients, connect } as Clients, release: () => other.query('ROLLBACK') }
}
const patience = 10_000

it('a comparison with a backup waits for no table that is locked for longer than LOCK_TIMEOUT_MS', {
  timeout: 90_000,
}, async () => {
  const backedUp = await planReset(clients)
  await backUp(clients, backedUp)
  await database.sql.query('DELETE FROM app.people WHERE id = 1') // what holds the backup's rows already is not compared
  const plan = await planRestore(clients, backedUp.backupId)
  await load(clients, plan)
  const { own, release } = await lockedAtTheCompare()
  const comparing = compareBackup(own, { run: plannedRun(plan), ...restoredBy(plan) }).catch(
    (error: unknown) => error,
  )
  const first = await Promise.race([
    comparing,
    new Promise((done) => setTimeout(done, patience, 'still waits')),
  ])
  await release()
  await comparing
  expect(first).toBeInstanceOf(DatabaseBusy)
})

it('a rehearsal waits for no table that is locked for longer than LOCK_TIMEOUT_MS', {
  timeout: 90_000,
}, async () => {
  const plan = await planReset(clients)
  const run = databaseOf(plan)
  await exportDatabase(clients, { ...run, backupId: plan.backupId!, batch: 0 }, noProgress)
  await loadExported(clients, { ...run, batch: 0 }, noProgress)
  const { own, release } = await lockedAtTheCompare()
  const comparing = compareExported(own, { ...run, wipes: true }).catch((error: unknown) => error)
  const first = await Promise.race([
    comparing,
    new Promise((done) => setTimeout(done, patience, 'still waits')),
  ])
  await release()
  await comparing
  expect(first).toBeInstanceOf(DatabaseBusy)
})
