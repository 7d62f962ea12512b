import { beforeAll, expect, it } from 'vitest'
import type { Manifest } from '../../lib/backup/manifest.ts'
import type { Clients } from '../../lib/clients.ts'
import { compareBackup, compareExported, loadExported } from '../../lib/database/load/rehearse.ts'
import { readRestored } from '../../lib/database/load/sources.ts'
import { loadToRestore } from '../../lib/database/load/to-restore.ts'
import { restoreDatabase } from '../../lib/database/restore/restore.ts'
import { noteSpared } from '../../lib/database/restore/spared.ts'
import { dropScratch } from '../../lib/database/scratch/drop.ts'
import { scratchTableOf } from '../../lib/database/scratch/schema.ts'
import { RehearsalFailed } from '../../lib/errors.ts'
import { qualified } from '../../lib/postgres/identifiers.ts'
import { withConnection } from '../../lib/postgres/with-connection.ts'
import { databaseOf, plannedRun, restoredBy } from '../../lib/run/planning/plan.ts'
import {
  backUp,
  configured,
  noProgress,
  planReset,
  rowsAsLines,
  useDatabase,
} from '../database/database-stack.ts'
import { planRestore } from './steps.ts'

const database = useDatabase()
let clients: Clients
let backup: Manifest

beforeAll(async () => {
  clients = configured(database.clients, { DATABASE_SCHEMAS: ['app'] })
  await database.sql.query(`CREATE SCHEMA app; CREATE TABLE app.rows (id int, text text);
    INSERT INTO app.rows SELECT g, md5(g::text) FROM generate_series(1, 3000) g`)
  backup = await backUp(clients, await planReset(clients))
})

/** Holds the first statement that matches, as an invocation that is frozen does. */
function frozenAt(matches: RegExp) {
  const arrived = Promise.withResolvers<void>()
  const woken = Promise.withResolvers<void>()
  const connect = async () => {
    const connection = await clients.connect()
    const query = connection.query.bind(connection) as (...given: unknown[]) => unknown
    const afterwards = async (given: unknown[]) => {
      arrived.resolve()
      await woken.promise
      return query(...given)
    }
    Object.assign(connection, {
      query: (...given: unknown[]) => (matches.test(String(given[0])) ? afterwards(given) : query(...given)),
    })
    return connection
  }
  return {
    clients: { ...clients, connect } as Clients,
    arrived: arrived.promise,
    wake: () => woken.resolve(),
  }
}

it('a load of frames that wakes up in the next attempt doubles no row of it', async () => {
  const before = await rowsAsLines(database.sql, 'app.rows')
  await database.sql.query('DELETE FROM app.rows WHERE id IN (5, 2000)')
  const plan = await planRestore(clients, backup.backupId, { safetyBackup: false })
  const loaded = { ...restoredBy(plan), batch: 0, safetyBackupId: null }
  const frozen = frozenAt(/\.loaded (VALUES|SELECT)/)
  const straggler = loadToRestore(frozen.clients, { run: plannedRun(plan), ...loaded }, noProgress)
  await Promise.race([frozen.arrived, straggler])
  await withConnection(clients, (connection) => dropScratch(connection, plan.runId)) // the first attempt was stale
  const run = { ...plannedRun(plan), attempt: 1 }
  await loadToRestore(clients, { run, ...loaded }, noProgress)
  frozen.wake()
  await straggler
  await compareBackup(clients, { run, ...restoredBy(plan) })
  const restored = await restoreDatabase(clients, {
    ...databaseOf(plan),
    backup: await readRestored(clients, restoredBy(plan)),
  })
  expect(restored.tables).toEqual({ 'app.rows': 3000 })
  expect(await rowsAsLines(database.sql, 'app.rows')).toEqual(before)
  await withConnection(clients, (connection) => dropScratch(connection, plan.runId))
})

it.each(['unchanged', 'differing'] as const)(
  'a table that an earlier attempt notes as %s is compared by the rehearsal of the next all the same',
  async (how) => {
    const plan = await planReset(clients, { takeOver: false })
    await backUp(clients, plan)
    const exported = { ...databaseOf(plan), backupId: plan.backupId! }
    await loadExported(clients, { ...exported, batch: 0 }, noProgress)
    const [table] = backup.database!.tables
    await withConnection(clients, (connection) =>
      noteSpared(connection, plan.runId, new Map([['app.rows', how]])),
    )
    await database.admin.query(`DELETE FROM ${qualified(scratchTableOf(plan.runId, table!))} WHERE id = 7`)
    await expect(compareExported(clients, { ...exported, wipes: true })).rejects.toThrow(RehearsalFailed)
  },
)
