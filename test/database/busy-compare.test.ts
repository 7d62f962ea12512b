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
  clients = configured(database.clients, { DATABASE_SCHEMAS: ['app'] })
  await database.sql.query(`DROP SCHEMA IF EXISTS app CASCADE; CREATE SCHEMA app;
    CREATE TABLE app.people (id int PRIMARY KEY, name text);
    INSERT INTO app.people SELECT g, 'person ' || g FROM generate_series(1, 50) g`)
})

/** Impatient clients that find a table locked from the moment on in which the rows are compared: by a migration that does not end. */
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
  return configured({ ...clients, connect } as Clients, { LOCK_TIMEOUT_MS: 300 })
}

it('a comparison with a backup waits for no table that is locked for longer than LOCK_TIMEOUT_MS', async () => {
  const backedUp = await planReset(clients)
  await backUp(clients, backedUp)
  await database.sql.query('DELETE FROM app.people WHERE id = 1') // what holds the backup's rows already is not compared
  const plan = await planRestore(clients, backedUp.backupId)
  await load(clients, plan)
  const own = await lockedAtTheCompare()
  const comparing = compareBackup(own, { run: plannedRun(plan), ...restoredBy(plan) })
  await expect(comparing).rejects.toThrow(DatabaseBusy)
})

it('a rehearsal waits for no table that is locked for longer than LOCK_TIMEOUT_MS', async () => {
  const plan = await planReset(clients)
  const run = databaseOf(plan)
  await exportDatabase(clients, { ...run, backupId: plan.backupId!, batch: 0 }, noProgress)
  await loadExported(clients, { ...run, batch: 0 }, noProgress)
  const own = await lockedAtTheCompare()
  await expect(compareExported(own, { ...run, wipes: true })).rejects.toThrow(DatabaseBusy)
})
