import type { Warning } from '../../backup/manifest.ts'
import type { FingerprintFormat } from '../../backup/sections/fingerprint.ts'
import type { Clients } from '../../clients.ts'
import type { Config } from '../../config/variables.ts'
import { readSeed } from '../../ledger/environment.ts'
import { operations } from '../../operations.ts'
import type { Connection } from '../../postgres/connection.ts'
import type { Limit, Planner, Planning } from '../../store.ts'
import { chooseBase } from '../base/choose.ts'
import { readCatalog } from '../catalog/catalog.ts'
import { nothingTold, readDefinition } from '../definition/read.ts'
import { loadBatches } from '../parts/load-batches.ts'
import { changedIn, type DatabaseInRestore, type DatabasePlan } from '../schema/plan.ts'
import { checkScratchAllowed } from '../scratch/event-triggers.ts'
import { viewsOver } from '../views.ts'
import { crossingIn } from './actions/crossing-keys.ts'
import { type Decided, decideActions } from './actions/decide.ts'
import { byExclusion } from './actions/table-actions.ts'
import { leftOutBy, warnOfBackup, warnOfLaterTables } from './exclusions.ts'
import { cutBatches, putBatches } from './export-batches.ts'
import { checkExtent, isRehearsed } from './extent.ts'
import { warnOfLargeObjects } from './large-objects.ts'
import { warnOfLeftBehind } from './out-of-reach.ts'
import { countInSnapshot } from './rows/count.ts'
import { tryWayBack, warnOfUnproved } from './trial-restore.ts'

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
): Promise<Decided & { planned: DatabasePlan; warnings: Warning[] }> {
  const { takesBackup, backup } = asked
  const { changes } = operations[asked.operation]
  const { config } = clients
  const catalog = await readCatalog(connection, config.DATABASE_SCHEMAS, config.LOCK_TIMEOUT_MS)
  const decided = await decideActions(connection, catalog, asked)
  const { chosen, toLoad } = decided
  const { tables, unmanaged } = chosen
  const changed = changedIn(tables)
  const bytes = tables.reduce((sum, { table }) => sum + table.bytes, 0)
  const fingerprints = await planFingerprints(connection, asked)
  const { base, held, warnings } = await chooseBase(clients, connection, asked, {
    tables: tables.map(({ table }) => table),
    ...{ fingerprints, serverVersion: catalog.serverVersion, wipes: changes !== null },
    rehearse: isRehearsed(bytes, asked, config) && (asked.rehearse === 'all' ? 'all' : true),
  })
  const batches = cutBatches(tables, held, config)
  warnings.push(
    ...(await checkExtent(connection, config, { ...asked, toLoad, chosen, bytes, batches, held })),
    ...(changes === null ? [] : await tryWayBack(connection, catalog, tables, asked)),
    ...(backup === null ? [] : await warnOfBackup(connection, catalog, { ...asked, ...decided, backup })),
  )
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
    ...(await warnOfLeftBehind(connection, { catalog, plan: chosen, operation: asked.operation })),
    ...(backup === null ? [] : warnOfLaterTables(backup, counted)),
  )
  const views = changes === null ? [] : await viewsOver(connection, changed)
  const told =
    takesBackup && !asked.dryRun
      ? await readDefinition(connection, {
          ...{ sequences: catalog.sequences, schemas: config.DATABASE_SCHEMAS },
          waitMs: config.LOCK_TIMEOUT_MS,
          tables: tables.map(({ table }) => table),
          excluded: unmanaged.flatMap(({ name, reason }) => (reason === byExclusion ? name : [])),
        })
      : nothingTold
  warnings.push(...told.warnings)
  const planned = {
    serverVersion: catalog.serverVersion,
    bytes,
    batches: await putBatches(clients, asked, batches, held),
    fingerprints,
    base,
    tables: counted,
    unmanaged,
    views: views.map(({ name }) => name),
    definition: told.definition,
  }
  return { ...decided, planned, warnings }
}

/** A run that takes no backup makes no fingerprints, and a dry one must not make the environment's seed either. */
async function planFingerprints(
  connection: Connection,
  { takesBackup, dryRun }: Planning,
): Promise<FingerprintFormat> {
  if (!takesBackup || dryRun) return { version: 1 }
  return { version: 2, seed: await readSeed(connection) }
}
