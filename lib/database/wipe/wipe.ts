import * as z from 'zod'
import type { Manifest } from '../../backup/manifest.ts'
import type { Clients } from '../../clients.ts'
import { checkEnvironmentRow } from '../../ledger/environment.ts'
import { recordWiped } from '../../ledger/records.ts'
import { fenceRun } from '../../ledger/step.ts'
import type { Connection } from '../../postgres/connection.ts'
import { databaseError } from '../../postgres/errors.ts'
import { underOwnSearchPath } from '../../postgres/search-path.ts'
import { withConnection } from '../../postgres/with-connection.ts'
import { type Catalog, readCatalog } from '../catalog/catalog.ts'
import { changesOf, refuseChanges } from '../catalog/changes.ts'
import { type Locked, whileLocked } from '../locks/transaction.ts'
import { checkKeptRows } from '../plan/actions/kept-rows.ts'
import { chooseActions, type Preservation, type TableActions } from '../plan/actions/table-actions.ts'
import { changedIn, keptIn, type PlannedDatabase } from '../schema/plan.ts'
import { Refreshed, refreshViews } from '../views.ts'
import { checkKeptWhole, countLosses, empty, readWrittenToKept } from './empty.ts'
import { proveBackup, readOwnManifest } from './prove.ts'

/** Rows that the wipe removed, per table and in all; parts of the backup it wrote anew; tables that came later and stay. */
export const DatabaseWiped = z.strictObject({
  rows: z.number(),
  tables: z.record(z.string(), z.number()),
  lateParts: z.number(),
  appeared: z.array(z.string()),
  /** null: not tried yet. */
  views: Refreshed.nullable().default(null),
})
export type DatabaseWiped = z.output<typeof DatabaseWiped>

type DatabaseWipe = PlannedDatabase & {
  preserve: Preservation
  /** The backup that covers it; null: the run was told to take none. */
  backupId: string | null
}

/**
 * Empties the tables of the plan in one transaction, in which it first proves that the backup holds exactly the rows it
 * is about to remove. A repeat after a lost answer finds what the first try recorded and returns it.
 * @throws BackupIsStale, DatabaseBusy, RunLost, PreservationConflict: in each case nothing was wiped
 */
export async function wipeDatabase(
  clients: Clients,
  { run, planned, preserve, backupId }: DatabaseWipe,
): Promise<DatabaseWiped> {
  const { runId } = run
  const manifest = backupId === null ? null : await readOwnManifest(clients, { runId, backupId })
  const locks = { exclusive: changedIn(planned.tables), shared: keptIn(planned.tables) }
  const wiped = await withConnection(clients, async (connection) => {
    try {
      await connection.query(`SET lock_timeout = ${clients.config.LOCK_TIMEOUT_MS}`)
      // Before any lock: a run that is lost, or has wiped already, must not hold up the application.
      const earlier = await fenceRun(connection, runId)
      if (earlier !== null) return DatabaseWiped.parse(earlier)
      return await whileLocked(clients, connection, { runId, locks }, (within, locked) =>
        wipeUnderLocks(clients, within, { run, locked, planned, preserve, manifest }),
      )
    } catch (error) {
      throw databaseError(error)
    }
  })
  if (wiped.views !== null) return wiped
  const { views } = planned
  return { ...wiped, views: await refreshViews(clients, { runId, tables: locks.exclusive, planned: views }) }
}

async function wipeUnderLocks(
  clients: Clients,
  connection: Connection,
  {
    run: { runId },
    planned,
    preserve,
    manifest,
    locked: { checkNames, commit },
  }: Omit<DatabaseWipe, 'backupId'> & { manifest: Manifest | null; locked: Locked },
): Promise<DatabaseWiped> {
  const began = performance.now()
  const recorded = await fenceRun(connection, runId)
  if (recorded !== null) return DatabaseWiped.parse(recorded) // by a try whose answer was lost, while we waited
  await checkEnvironmentRow(connection, clients.config)
  const catalog = await readCatalog(connection, clients.config.DATABASE_SCHEMAS)
  const { live, appeared } = planAgain({ planned, preserve }, catalog)
  const written = await readWrittenToKept(connection, live) // before any code of the application is called
  await underOwnSearchPath(connection, () =>
    checkKeptRows(connection, { tables: live.tables, keys: live.dependsOnRows }),
  )
  const backedUp = live.tables.map(({ table }) => table)
  const going = changedIn(live.tables)
  const reconciled =
    manifest === null
      ? null
      : await proveBackup(clients, connection, { runId, manifest, backedUp, going, catalog, checkNames })
  const wiped = await underOwnSearchPath(connection, async () => {
    const losses = await countLosses(connection, live, reconciled?.tables ?? [])
    await empty(connection, live, written)
    return losses
  })
  await checkKeptWhole(connection, live, written)
  const result: DatabaseWiped = {
    rows: Object.values(wiped).reduce((sum, rows) => sum + rows, 0),
    tables: wiped,
    lateParts: reconciled?.lateParts ?? 0,
    appeared,
    views: null,
  }
  const took = { bytes: planned.bytes, milliseconds: Math.round(performance.now() - began) }
  await recordWiped(connection, runId, result, took)
  await commit()
  return result
}

/**
 * The plan for what is there now. The tables that were planned must be the same, with the same columns; those that came
 * later are in no backup, so they stay.
 * @throws BackupIsStale
 */
function planAgain(
  { planned, preserve }: Pick<DatabaseWipe, 'planned' | 'preserve'>,
  catalog: Catalog,
): { live: TableActions; appeared: string[] } {
  const toWipe = changedIn(planned.tables)
  const tables = [...toWipe, ...keptIn(planned.tables)]
  const known = new Set([...tables, ...planned.unmanaged].map(({ name }) => name))
  const appeared = catalog.tables.map(({ name }) => name).filter((name) => !known.has(name))
  const going = new Set(toWipe.map(({ name }) => name))
  const reaching = catalog.foreignKeys.filter(({ from, to }) => appeared.includes(from) && going.has(to))
  refuseChanges([
    ...changesOf(catalog, tables),
    ...reaching.map(({ from, to }) => `${from} was created and references ${to}`),
  ])
  const excluded = [...preserve.excluded, ...appeared]
  const live = chooseActions(catalog, { ...preserve, excluded })
  const wiped = new Set(changedIn(live.tables).map(({ name }) => name))
  refuseChanges([...going].filter((name) => !wiped.has(name)).map((name) => `${name} got another parent`))
  return { live, appeared }
}
