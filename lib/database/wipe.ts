import { z } from 'zod'
import { writeLate } from '../backup/late.ts'
import { backupKeys } from '../backup/layout.ts'
import { type BackedUpTable, Manifest } from '../backup/manifest.ts'
import { getJson, type Storage } from '../backup/storage.ts'
import type { Clients, Connection } from '../clients.ts'
import { BackupIncomplete } from '../errors.ts'
import { checkEnvironmentRow } from '../run/guard.ts'
import { fenceRun, recordWiped } from '../run/ledger.ts'
import { type DatabasePlan, planDatabase } from '../run/plan.ts'
import type { Plan } from '../run/work.ts'
import { type Catalog, readCatalog, type Table } from './catalog.ts'
import { countLosses, empty } from './empty.ts'
import { checkKeptRows } from './kept-rows.ts'
import { lockExclusively } from './locks.ts'
import { mergeLate, reconcile } from './reconcile.ts'
import { readPositions, sequencesOf } from './sequences.ts'
import { databaseError, lockShared, withConnection } from './snapshot.ts'
import { changesOf, refuseChanges } from './unchanged.ts'

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
    try {
      // Before any lock: a run that is lost, or has wiped already, must not hold up the application.
      const earlier = await fenceRun(connection, plan.runId)
      if (earlier !== null) return DatabaseWiped.parse(earlier)
      return await wipeInTransaction(clients, connection, { plan, storage, manifest })
    } catch (error) {
      throw databaseError(error)
    }
  })
}

async function wipeInTransaction(
  clients: Clients,
  connection: Connection,
  { plan, storage, manifest }: { plan: Plan; storage: Storage; manifest: Manifest | null },
): Promise<DatabaseWiped> {
  // Its snapshot is taken after the locks, so that all comparisons see one state, which can no longer change.
  await connection.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
  await lockExclusively(clients, connection, tablesOf(plan, 'going'))
  await lockShared(connection, tablesOf(plan, 'staying'))
  const recorded = await fenceRun(connection, plan.runId)
  if (recorded !== null) return DatabaseWiped.parse(recorded) // by a try whose answer was lost, while we waited
  await checkEnvironmentRow(connection, clients.config)
  const catalog = await readCatalog(connection, clients.config.DATABASE_SCHEMAS)
  const { live, appeared } = planAgain(plan, catalog)
  await checkKeptRows(connection, { tables: live.tables, keys: live.dependsOnRows })
  const reconciled =
    manifest === null ? null : await proveBackup(clients, connection, { storage, manifest, live, catalog })
  const wiped = await countLosses(connection, live, reconciled?.tables ?? [])
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
  {
    storage,
    manifest,
    live,
    catalog,
  }: { storage: Storage; manifest: Manifest; live: DatabasePlan; catalog: Catalog },
): Promise<{ tables: BackedUpTable[]; lateParts: number }> {
  const tables = manifest.database?.tables ?? []
  const held = new Set(tables.map(({ name }) => name))
  const missing = live.tables.filter(
    ({ table, action }) => action !== 'keep' && !table.partitioned && !held.has(table.name),
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
      sequences: await readPositions(
        connection,
        sequencesOf(
          catalog,
          live.tables.map(({ table }) => table),
        ),
      ),
    }),
  )
  return { tables: mergeLate(tables, lateParts), lateParts: lateParts.flatMap(({ parts }) => parts).length }
}

/**
 * The plan for what is there now. The tables that were planned must be the same, with the same columns; those that came
 * later are in no backup, so they stay.
 * @throws BackupIsStale
 */
function planAgain(plan: Plan, catalog: Catalog): { live: DatabasePlan; appeared: string[] } {
  const planned = [...tablesOf(plan, 'going'), ...tablesOf(plan, 'staying')]
  const known = new Set([...planned, ...(plan.database?.unmanaged ?? [])].map(({ name }) => name))
  const appeared = catalog.tables.map(({ name }) => name).filter((name) => !known.has(name))
  const going = new Set(tablesOf(plan, 'going').map(({ name }) => name))
  const reaching = catalog.foreignKeys.filter(({ from, to }) => appeared.includes(from) && going.has(to))
  refuseChanges([
    ...changesOf(catalog, planned),
    ...reaching.map(({ from, to }) => `${from} was created and references ${to}`),
  ])
  const excluded = [...plan.preserve.excluded, ...appeared]
  const live = planDatabase(catalog, { ...plan.preserve, excluded })
  const wiped = new Set(live.tables.filter(({ action }) => action !== 'keep').map(({ table }) => table.name))
  refuseChanges([...going].filter((name) => !wiped.has(name)).map((name) => `${name} got another parent`))
  return { live, appeared }
}

function tablesOf(plan: Plan, which: 'going' | 'staying'): Table[] {
  const tables = (plan.database?.tables ?? []).filter(
    ({ action }) => (action === 'keep') === (which === 'staying'),
  )
  return tables.map(({ table }) => table)
}
