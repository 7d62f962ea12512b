import { putOnce } from '../../backup/documents/write-once.ts'
import { workKeys } from '../../backup/layout.ts'
import type { Warning } from '../../backup/manifest.ts'
import type { Backup } from '../../backup/read.ts'
import type { FingerprintFormat } from '../../backup/sections/fingerprint.ts'
import type { Clients } from '../../clients.ts'
import type { Config } from '../../config/variables.ts'
import { readSeed } from '../../ledger/environment.ts'
import { operations } from '../../operations.ts'
import type { Connection } from '../../postgres/connection.ts'
import { underOwnSearchPath } from '../../postgres/search-path.ts'
import type { Limit, Planner, Planning } from '../../store.ts'
import { type Catalog, readCatalog } from '../catalog/catalog.ts'
import { checkSchema } from '../catalog/schema-differences.ts'
import { sequencesOf } from '../catalog/sequences.ts'
import { checkLockedTime } from '../locks/duration.ts'
import { loadBatches } from '../parts/load-batches.ts'
import { batchesOf, bytesOf, type Shard, shardsOf } from '../parts/shards.ts'
import type { DatabaseInRestore, DatabasePlan } from '../schema/plan.ts'
import { checkScratchAllowed } from '../scratch/event-triggers.ts'
import { viewsOver } from '../views.ts'
import { checkKeptRows } from './actions/kept-rows.ts'
import { checkPermissions } from './actions/permissions.ts'
import { chooseRestoreActions } from './actions/restore-actions.ts'
import { chooseActions, type TableAction, type TableActions } from './actions/table-actions.ts'
import { leaveOut, leftOutBy, warnOfLaterTables, warnOfLeftOut } from './exclusions.ts'
import { warnOfLargeObjects } from './large-objects.ts'
import { checkLocks, lockedWorks } from './lock-checks.ts'
import { checkManifestSize } from './manifest-size.ts'
import { warnOfLeftBehind } from './out-of-reach.ts'
import { warnOfKept } from './restore-rights.ts'
import { countInSnapshot } from './rows/count.ts'
import { checkReading } from './single-works.ts'
import { tryRestore, warnOfUnproved } from './trial-restore.ts'

/**
 * Counts the tables, decides what happens to each, tries what a restore would need, and writes the work lists of the export.
 * @throws NotPermitted, PreservationConflict, InvalidRequest, LimitExceeded, SchemaChanged, each before anything is touched
 */
export const planDatabase: Planner<DatabasePlan, DatabaseInRestore> = async (clients, connection, asked) => {
  const { config } = clients
  const { takesBackup, backup } = asked
  const { changes } = operations[asked.operation]
  const without = leftOutBy(asked.selection)
  const toLoad = backup && leaveOut(backup, without)
  const { planned, warnings } = await planTables(clients, connection, { ...asked, without, toLoad })
  warnings.push(...(await warnOfLargeObjects(connection)))
  const { bytes } = planned
  const rehearse = takesBackup && isRehearsed(bytes, asked, config)
  if (takesBackup && !rehearse && asked.rehearse === 'auto') warnings.push(notRehearsed(bytes, config))
  if (changes === 'wiped' && takesBackup && !rehearse)
    warnings.push(...(await warnOfUnproved(connection, changedIn(planned.tables))))
  if (rehearse && changes === null) await checkScratchAllowed(connection, asked.run.runId)
  const restore = toLoad && { without, batches: loadBatches(toLoad.database?.tables ?? []).length }
  return { planned, restore, rehearse, warnings }
}

/** How many rows the plan wipes, and how many a reset may. */
export const databaseLimit: Limit<DatabasePlan> = ({ tables }, { MAX_ROWS }) => {
  const count = tables
    .filter(({ action }) => action !== 'keep')
    .reduce((sum, { rows, keptRows }) => sum + rows - keptRows, 0)
  return { name: 'MAX_ROWS', limit: MAX_ROWS, count, what: 'row' }
}

function isRehearsed(bytes: number, { rehearse }: Pick<Planning, 'rehearse'>, config: Config): boolean {
  return rehearse === 'auto' ? bytes < config.REHEARSE_MAX_BYTES : rehearse
}

function notRehearsed(bytes: number, { REHEARSE_MAX_BYTES }: Config): Warning {
  const message = `The database has ${bytes} bytes, more than the ${REHEARSE_MAX_BYTES} of REHEARSE_MAX_BYTES: the backup is read back byte for byte, but not loaded and compared`
  return { code: 'NotRehearsed', message }
}

async function planTables(
  clients: Clients,
  connection: Connection,
  /** `toLoad`: the backup that is restored, without what is left out of it. */
  asked: Planning & { without: readonly string[]; toLoad: Backup | null },
): Promise<{ planned: DatabasePlan; warnings: Warning[] }> {
  const { operation, takesBackup, backup, toLoad, without } = asked
  const { changes } = operations[operation]
  const { config } = clients
  const warnings: Warning[] = []
  const catalog = await readCatalog(connection, config.DATABASE_SCHEMAS, config.LOCK_TIMEOUT_MS)
  const chosen = toLoad?.database
    ? chooseRestoreActions(catalog, asked.preserve, toLoad.database.tables)
    : chooseActions(catalog, asked.preserve)
  checkPermissions(chosen, catalog, changes !== null)
  const { tables, unmanaged } = chosen
  if (changes === 'wiped') {
    await underOwnSearchPath(connection, () =>
      checkKeptRows(connection, { tables, keys: chosen.dependsOnRows }),
    )
  }
  const changed = changedIn(tables)
  const bytes = tables.reduce((sum, { table }) => sum + table.bytes, 0)
  const batches = cut(tables, config)
  warnings.push(...(await checkExtent(connection, config, { ...asked, chosen, bytes, batches })))
  if (changes !== null) {
    const sequences = sequencesOf(catalog.sequences, changed)
    const untried = await tryRestore(connection, { tables: changed, sequences })
    if (changes === 'wiped' && takesBackup)
      warnings.push(...untried, ...(await warnOfKeptTables(connection, catalog, tables)))
  }
  if (backup !== null) warnings.push(...warnOfLeftOut(backup, without, catalog))
  const newColumns = toLoad?.database ? checkSchema(toLoad.database, catalog) : []
  if (newColumns.length > 0) {
    warnings.push({
      code: 'NewColumns',
      message: `Columns that came after the backup get their default in the restored rows: ${newColumns.join(', ')}`,
    })
  }
  const counts = await countInSnapshot(
    connection,
    config,
    tables.map(({ table, keepRows }) => ({ ...table, keepRows })),
  )
  const counted = tables.map((entry) => ({
    ...entry,
    ...(counts.get(entry.table.name) ?? { rows: 0, keptRows: 0 }),
  }))
  warnings.push(
    ...(await warnOfLeftBehind(connection, { catalog, plan: chosen, operation })),
    ...(backup === null ? [] : warnOfLaterTables(backup, counted)),
  )
  const views = changes === null ? [] : await viewsOver(connection, changed)
  return {
    planned: {
      serverVersion: catalog.serverVersion,
      bytes,
      batches: await planExport(clients, asked, batches),
      fingerprints: await planFingerprints(connection, asked),
      tables: counted,
      unmanaged,
      views: views.map(({ name }) => name),
    },
    warnings,
  }
}

/**
 * What is too much for one transaction or one invocation is said before anything is counted, which takes its time then.
 * @throws LimitExceeded
 */
async function checkExtent(
  connection: Connection,
  config: Config,
  asked: Planning & { toLoad: Backup | null; chosen: TableActions; bytes: number; batches: Shard[][] },
): Promise<Warning[]> {
  const { takesBackup, toLoad, bytes, batches } = asked
  const rehearses = takesBackup && isRehearsed(bytes, asked, config)
  const locks = await checkLocks(connection, { ...asked, rehearses })
  if (takesBackup) checkManifestSize(asked.chosen, batches.flat(), config.BACKUP_PREFIX)
  const exported = takesBackup ? batches.map(bytesOf) : []
  const works = lockedWorks({ ...asked, backedUp: toLoad?.database?.tables ?? [] })
  return [
    ...locks,
    ...(await checkReading(connection, { bytes, exported, rehearses })),
    ...(await checkLockedTime(connection, config, works)),
  ]
}

/** The batches in which the tables are exported. */
function cut(tables: readonly TableAction[], { EXPORT_BATCH_BYTES }: Config): Shard[][] {
  const shards = tables.filter(({ table }) => !table.partitioned).flatMap(({ table }) => shardsOf(table))
  return batchesOf(shards, EXPORT_BATCH_BYTES)
}

/** Writes the batches for the export. @returns how many there are */
async function planExport(
  { backups }: Clients,
  { run, takesBackup, dryRun }: Planning,
  batches: readonly Shard[][],
): Promise<number> {
  if (takesBackup && !dryRun) {
    for (const [batch, shards] of batches.entries()) {
      await putOnce(backups, workKeys(run).databaseBatch(batch), { batch, shards })
    }
  }
  return batches.length
}

/** A run that takes no backup makes no fingerprints, and a dry one must not make the environment's seed either. */
async function planFingerprints(
  connection: Connection,
  { takesBackup, dryRun }: Planning,
): Promise<FingerprintFormat> {
  if (!takesBackup || dryRun) return { version: 1 }
  return { version: 2, seed: await readSeed(connection) }
}

/** The tables whose rows go or are replaced. */
function changedIn(tables: readonly TableAction[]): TableAction['table'][] {
  return tables.filter(({ action }) => action !== 'keep').map(({ table }) => table)
}

async function warnOfKeptTables(
  connection: Connection,
  { sequences }: Catalog,
  tables: readonly TableAction[],
): Promise<Warning[]> {
  const kept = tables.filter(({ action }) => action === 'keep').map(({ table }) => table)
  const tried = new Set(sequencesOf(sequences, changedIn(tables)))
  return warnOfKept(connection, {
    tables: kept,
    sequences: sequencesOf(sequences, kept).filter((sequence) => !tried.has(sequence)),
  })
}
