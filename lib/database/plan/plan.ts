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
import { chooseBase } from '../base/choose.ts'
import { readCatalog } from '../catalog/catalog.ts'
import { checkSchema } from '../catalog/schema-differences.ts'
import { sequencesOf } from '../catalog/sequences.ts'
import { nothingTold, readDefinition } from '../definition/read.ts'
import { loadBatches } from '../parts/load-batches.ts'
import type { DatabaseInRestore, DatabasePlan } from '../schema/plan.ts'
import { checkScratchAllowed } from '../scratch/event-triggers.ts'
import { viewsOver } from '../views.ts'
import { crossingKeys, warnOfCrossing } from './actions/crossing-keys.ts'
import { checkKeptRows } from './actions/kept-rows.ts'
import { checkPermissions } from './actions/permissions.ts'
import { chooseRestoreActions } from './actions/restore-actions.ts'
import { warnOfSequencesBehind } from './actions/shared-sequences.ts'
import { stayingOf } from './actions/staying.ts'
import { byExclusion, chooseActions, type TableAction } from './actions/table-actions.ts'
import {
  leaveOut,
  leftOutBy,
  warnOfExcluded,
  warnOfLaterColumns,
  warnOfLaterTables,
  warnOfLeftOut,
} from './exclusions.ts'
import { cutBatches, putBatches } from './export-batches.ts'
import { checkExtent, isRehearsed } from './extent.ts'
import { warnOfLargeObjects } from './large-objects.ts'
import { warnOfLeftBehind } from './out-of-reach.ts'
import { warnOfKept } from './restore-rights.ts'
import { countInSnapshot } from './rows/count.ts'
import { tryRestore, warnOfUnproved } from './trial-restore.ts'

/**
 * Counts the tables, decides what happens to each, tries what a restore would need, and writes the work lists of the export.
 * @throws NotPermitted, PreservationConflict, InvalidRequest, LimitExceeded, SchemaChanged, each before anything is touched
 */
export const planDatabase: Planner<DatabasePlan, DatabaseInRestore> = async (clients, connection, asked) => {
  const { config } = clients
  const { takesBackup } = asked
  const { changes } = operations[asked.operation]
  const { planned, toLoad, stays, warnings } = await planTables(clients, connection, asked)
  warnings.push(...(await warnOfLargeObjects(connection)))
  const { bytes } = planned
  const rehearse = takesBackup && isRehearsed(bytes, asked, config)
  if (takesBackup && !rehearse && asked.rehearse === 'auto') warnings.push(notRehearsed(bytes, config))
  if (changes === 'wiped' && takesBackup && !rehearse)
    warnings.push(...(await warnOfUnproved(connection, changedIn(planned.tables))))
  if (rehearse && changes === null) await checkScratchAllowed(connection, asked.run.runId)
  const batches = loadBatches(toLoad?.database?.tables ?? []).length
  const without = [...leftOutBy(asked.selection), ...stays]
  const restore = toLoad && { without, crossing: crossingIn(asked), batches }
  return { planned, restore, rehearse, warnings }
}

/** A restore of all that the backup holds leaves such rows as they are, with a key that is NOT VALID. */
function crossingIn({ operation, selection }: Planning): DatabaseInRestore['crossing'] {
  return operation === 'reset-to' || selection.tables !== undefined ? 'refuse' : 'warn'
}

/** How many rows the plan wipes, and how many a reset may. */
export const databaseLimit: Limit<DatabasePlan> = ({ tables }, { MAX_ROWS }) => {
  const count = tables
    .filter(({ action }) => action !== 'keep')
    .reduce((sum, { rows, keptRows }) => sum + rows - keptRows, 0)
  return { name: 'MAX_ROWS', limit: MAX_ROWS, count, what: 'row' }
}

function notRehearsed(bytes: number, { REHEARSE_MAX_BYTES }: Config): Warning {
  const message = `The database has ${bytes} bytes, more than the ${REHEARSE_MAX_BYTES} of REHEARSE_MAX_BYTES: the backup is read back byte for byte, but not loaded and compared. With "rehearse": true it is, and the backups after it load only what is new and what is due`
  return { code: 'NotRehearsed', message }
}

async function planTables(
  clients: Clients,
  connection: Connection,
  asked: Planning,
): Promise<{
  planned: DatabasePlan
  /** The backup that is restored, without what is left out of it. */
  toLoad: Backup | null
  /** What of it stays as it is. */
  stays: string[]
  warnings: Warning[]
}> {
  const { operation, takesBackup, backup } = asked
  const without = leftOutBy(asked.selection)
  const { changes } = operations[operation]
  const { config } = clients
  const warnings: Warning[] = []
  const catalog = await readCatalog(connection, config.DATABASE_SCHEMAS, config.LOCK_TIMEOUT_MS)
  const stays = backup?.database ? stayingOf(catalog, backup.database, asked) : []
  const toLoad = backup && leaveOut(backup, [...without, ...stays])
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
  const fingerprints = await planFingerprints(connection, asked)
  const {
    base,
    held,
    warnings: ofBase,
  } = await chooseBase(clients, connection, asked, {
    tables: tables.map(({ table }) => table),
    ...{ fingerprints, serverVersion: catalog.serverVersion, wipes: changes !== null },
    rehearse: isRehearsed(bytes, asked, config) && (asked.rehearse === 'all' ? 'all' : true),
  })
  warnings.push(...ofBase)
  const batches = cutBatches(tables, held, config)
  warnings.push(
    ...(await checkExtent(connection, config, { ...asked, toLoad, chosen, bytes, batches, held })),
  )
  if (changes !== null) {
    const sequences = sequencesOf(catalog.sequences, changed)
    const kept = changes === 'wiped' ? tables.filter(({ action }) => action === 'keep') : []
    const staying = kept.map(({ table }) => table)
    const tried = new Set(sequences)
    const theirs = sequencesOf(catalog.sequences, staying).filter((one) => !tried.has(one))
    const found = await tryRestore(connection, { tables: changed, sequences, kept: staying })
    if (changes !== 'wiped') warnings.push(...found.filter(({ code }) => code === 'NotRestorable'))
    else if (takesBackup)
      warnings.push(...found, ...(await warnOfKept(connection, { tables: staying, sequences: theirs })))
  }
  if (backup !== null) warnings.push(...warnOfLeftOut(backup, without, catalog))
  if (backup?.database && stays.length > 0) {
    const names = (of: readonly { name: string }[] = []) => new Set(of.map(({ name }) => name))
    const between = { back: names(toLoad?.database?.tables), stays: new Set(stays) }
    const held = backup.database
    warnings.push(...(await warnOfSequencesBehind(connection, catalog, { held, ...between })))
    if (asked.dryRun && crossingIn(asked) === 'refuse')
      warnings.push(...warnOfCrossing(crossingKeys(catalog, between)))
    if (operation === 'restore' && asked.selection.tables === undefined)
      warnings.push(...warnOfExcluded(backup.database, between.stays))
  }
  if (toLoad?.database) warnings.push(...warnOfLaterColumns(checkSchema(toLoad.database, catalog)))
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
  const { definition, warnings: ofDefinition } =
    takesBackup && !asked.dryRun
      ? await readDefinition(connection, {
          ...{ sequences: catalog.sequences, schemas: config.DATABASE_SCHEMAS },
          waitMs: config.LOCK_TIMEOUT_MS,
          tables: tables.map(({ table }) => table),
          excluded: unmanaged.flatMap(({ name, reason }) => (reason === byExclusion ? name : [])),
        })
      : nothingTold
  warnings.push(...ofDefinition)
  return {
    planned: {
      serverVersion: catalog.serverVersion,
      bytes,
      batches: await putBatches(clients, asked, batches, held),
      fingerprints,
      base,
      tables: counted,
      unmanaged,
      views: views.map(({ name }) => name),
      definition,
    },
    toLoad,
    stays,
    warnings,
  }
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
