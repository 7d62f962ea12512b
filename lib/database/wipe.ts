import { z } from 'zod'
import { writeLate } from '../backup/late.ts'
import { backupKeys } from '../backup/layout.ts'
import { type BackedUpTable, Manifest } from '../backup/manifest.ts'
import { getJson, type Storage } from '../backup/storage.ts'
import type { Clients, Connection } from '../clients.ts'
import { BackupIncomplete, BackupIsStale, PreservationConflict } from '../errors.ts'
import { checkEnvironmentRow } from '../run/guard.ts'
import { fenceRun, recordWiped } from '../run/ledger.ts'
import { type DatabasePlan, planDatabase } from '../run/plan.ts'
import type { Plan } from '../run/work.ts'
import { type Catalog, readCatalog, type Table } from './catalog.ts'
import { qualified } from './identifiers.ts'
import { checkKeptRows, fingerprintKept } from './kept-rows.ts'
import { lockExclusively } from './locks.ts'
import { mergeLate, reconcile } from './reconcile.ts'
import { readPositions, restartSequences } from './sequences.ts'
import { withConnection } from './snapshot.ts'
import { disableTriggers } from './triggers.ts'

/** Rows that the wipe removed, per table and in all; parts of the backup it wrote anew; tables that came later and stay. */
export const DatabaseWiped = z.strictObject({
  rows: z.number(),
  tables: z.record(z.string(), z.number()),
  lateParts: z.number(),
  appeared: z.array(z.string()),
})
export type DatabaseWiped = z.output<typeof DatabaseWiped>

/**
 * Empties the tables of the plan in one transaction, in which it first proves that the backup holds exactly the rows it
 * is about to remove. A repeat after a lost answer finds what the first try recorded and returns it.
 * @throws BackupIsStale, DatabaseBusy, RunLost, PreservationConflict: in each case nothing was wiped
 */
export async function wipeDatabase(clients: Clients, plan: Plan): Promise<DatabaseWiped> {
  const storage = { s3: clients.s3, bucket: clients.config.BACKUP_BUCKET }
  const manifest =
    plan.backupId === null ? null : await readOwnManifest(clients, storage, plan, plan.backupId)
  return withConnection(clients, async (connection) => {
    // Its snapshot is taken after the locks, so that all comparisons see one state, which can no longer change.
    await connection.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
    await lockExclusively(clients, connection, tablesToWipe(plan))
    const recorded = await fenceRun(connection, plan.runId)
    if (recorded !== null) return DatabaseWiped.parse(recorded)
    await checkEnvironmentRow(connection, clients.config)
    const catalog = await readCatalog(connection, clients.config.DATABASE_SCHEMAS)
    const appeared = checkUnchanged(plan, catalog)
    const live = planDatabase(catalog, {
      ...plan.preserve,
      excluded: [...plan.preserve.excluded, ...appeared],
    })
    await checkKeptRows(connection, { tables: live.tables, keys: live.dependsOnRows })
    const reconciled =
      manifest === null ? null : await proveBackup(clients, connection, storage, manifest, live)
    const wiped = await countGoing(connection, live, reconciled?.tables ?? null)
    await empty(connection, live)
    const result: DatabaseWiped = {
      rows: Object.values(wiped).reduce((sum, rows) => sum + rows, 0),
      tables: wiped,
      lateParts: reconciled?.lateParts ?? 0,
      appeared,
    }
    await recordWiped(connection, plan.runId, result)
    await connection.query('COMMIT')
    return result
  })
}

/** The sealed backup of this very run. */
async function readOwnManifest(
  clients: Clients,
  storage: Storage,
  plan: Plan,
  backupId: string,
): Promise<Manifest> {
  const manifest = await getJson(
    storage,
    backupKeys(clients.config.BACKUP_PREFIX, backupId).manifest,
    Manifest,
  )
  if (manifest.runId === plan.runId && manifest.environment === clients.config.ENVIRONMENT) return manifest
  throw new BackupIncomplete(
    `The backup ${backupId} was made by run ${manifest.runId} in ${manifest.environment}, not by this one. Nothing was wiped; start a new run`,
  )
}

/** Makes backup and rows agree: late parts are written and listed for every difference. */
async function proveBackup(
  clients: Clients,
  connection: Connection,
  storage: Storage,
  manifest: Manifest,
  live: DatabasePlan,
): Promise<{ tables: BackedUpTable[]; lateParts: number }> {
  const tables = manifest.database?.tables ?? []
  const missing = live.tables.filter(
    ({ table, action }) => action !== 'keep' && !tables.some((one) => one.name === table.name),
  )
  if (missing.length > 0) {
    throw new BackupIncomplete(
      `The backup ${manifest.backupId} does not hold ${missing.map(({ table }) => table.name).join(', ')}. Nothing was wiped; start a new run`,
    )
  }
  const keys = backupKeys(clients.config.BACKUP_PREFIX, manifest.backupId)
  const lateParts = await writeLate(
    storage,
    { keys, backupId: manifest.backupId, now: clients.now },
    async (attempt) => ({
      tables: await reconcile(connection, {
        storage,
        tables,
        maxBytes: clients.config.LATE_MAX_BYTES,
        keys: (table, shard, copy) => keys.latePart(table, shard, attempt, copy),
      }),
      sequences: await readPositions(connection, clients.config.DATABASE_SCHEMAS),
    }),
  )
  return { tables: mergeLate(tables, lateParts), lateParts: lateParts.flatMap(({ parts }) => parts).length }
}

/**
 * The tables that were planned must be the ones that are there: same table, same columns.
 * @returns the tables that came later: they are in no backup, so they stay
 */
function checkUnchanged(plan: Plan, catalog: Catalog): string[] {
  const planned = plan.database?.tables ?? []
  const changed = planned.filter(({ table }) => {
    const now = catalog.tables.find(({ name }) => name === table.name)
    return now?.oid !== table.oid || JSON.stringify(now.columns) !== JSON.stringify(table.columns)
  })
  const known = new Set([
    ...planned.map(({ table }) => table.name),
    ...(plan.database?.unmanaged ?? []).map(({ name }) => name),
  ])
  const appeared = catalog.tables.map(({ name }) => name).filter((name) => !known.has(name))
  const going = new Set(tablesToWipe(plan).map(({ name }) => name))
  const reaching = catalog.foreignKeys.filter(({ from, to }) => appeared.includes(from) && going.has(to))
  if (changed.length === 0 && reaching.length === 0) return appeared
  const what = [
    ...changed.map(({ table }) => `${table.name} was dropped, replaced or altered`),
    ...reaching.map(({ from, to }) => `${from} was created and references ${to}`),
  ]
  throw new BackupIsStale(
    `Since the backup ${what.join('; ')}. Nothing was wiped; run again when the migration is done`,
  )
}

async function countGoing(
  connection: Connection,
  live: DatabasePlan,
  backedUp: readonly BackedUpTable[] | null,
): Promise<Record<string, number>> {
  const known = new Map(backedUp?.map((table) => [table.name, table.rows]))
  const counts: Record<string, number> = {}
  for (const { table, action, keepRows } of live.tables) {
    if (action === 'keep' || table.partitioned) continue
    const proven = keepRows === null ? known.get(table.name) : undefined
    if (proven !== undefined) counts[table.name] = proven
    else {
      const where = keepRows === null ? '' : ` WHERE (${keepRows}) IS NOT TRUE`
      const answer = await connection.query(
        `SELECT count(*)::float8 AS rows FROM ONLY ${qualified(table)}${where}`,
      )
      counts[table.name] = answer.rows[0]?.rows
    }
  }
  return counts
}

async function empty(connection: Connection, live: DatabasePlan): Promise<void> {
  const going = live.tables.filter(({ action }) => action !== 'keep')
  const keptBefore = await fingerprintKept(connection, live.tables)
  const enableTriggers = await disableTriggers(
    connection,
    going.map(({ table }) => table),
  )
  const truncated = going.filter(({ action }) => action === 'truncate').map(({ table }) => table)
  if (truncated.length > 0) {
    const names = truncated.map((table) =>
      table.partitioned ? qualified(table) : `ONLY ${qualified(table)}`,
    )
    await connection.query(`TRUNCATE ${names.join(', ')}`)
  }
  // One statement, so that foreign keys are checked when all rows are gone: cycles need no order.
  const deletes = going
    .filter(({ table, action }) => action !== 'truncate' && !table.partitioned)
    .map(({ table, keepRows }, index) => {
      const where = keepRows === null ? '' : ` WHERE (${keepRows}) IS NOT TRUE`
      return `d${index} AS (DELETE FROM ONLY ${qualified(table)}${where})`
    })
  if (deletes.length > 0) await connection.query(`WITH ${deletes.join(',\n')} SELECT`)
  await connection.query('SET CONSTRAINTS ALL IMMEDIATE') // else a deferred foreign key would fail the COMMIT
  await checkKept(connection, live, keptBefore)
  await checkEmpty(connection, live)
  await restartSequences(connection, live.restart)
  for (const statement of enableTriggers) await connection.query(statement)
}

/** Kept rows must be bit for bit what they were. */
async function checkKept(
  connection: Connection,
  live: DatabasePlan,
  before: Awaited<ReturnType<typeof fingerprintKept>>,
): Promise<void> {
  const after = await fingerprintKept(connection, live.tables)
  const changed = before.filter((kept, index) => JSON.stringify(kept) !== JSON.stringify(after[index]))
  if (changed.length === 0) return
  throw new PreservationConflict(
    `The wipe would change rows of ${changed.map(({ name }) => name).join(', ')} that PRESERVE_ROWS keeps (a foreign key with ON DELETE reaches them). Nothing was wiped; keep the rows they reference too`,
  )
}

/** An independent look after the wipe: a rule or a trigger may have made rows stay. */
async function checkEmpty(connection: Connection, live: DatabasePlan): Promise<void> {
  for (const { table, action, keepRows } of live.tables) {
    if (action === 'keep' || table.partitioned) continue
    const where = keepRows === null ? '' : ` WHERE (${keepRows}) IS NOT TRUE`
    const left = await connection.query(
      `SELECT EXISTS (SELECT FROM ONLY ${qualified(table)}${where}) AS rows`,
    )
    if (left.rows[0]?.rows === false) continue
    throw new PreservationConflict(
      `Rows of ${table.name} are still there after they were wiped: something in the database puts them back or keeps them. Nothing was wiped; look at the table's rules and triggers, or preserve it`,
    )
  }
}

function tablesToWipe(plan: Plan): Table[] {
  return (plan.database?.tables ?? []).filter(({ action }) => action !== 'keep').map(({ table }) => table)
}
