import * as z from 'zod'
import { putFirst } from '../../backup/documents/documents.ts'
import { workKeys } from '../../backup/layout.ts'
import { type BackedUpTable, Warning } from '../../backup/manifest.ts'
import { type Backup, readBackup } from '../../backup/read.ts'
import type { Clients } from '../../clients.ts'
import { NotFound, RehearsalFailed } from '../../errors.ts'
import type { Connection } from '../../postgres/connection.ts'
import { databaseError } from '../../postgres/errors.ts'
import { withConnection } from '../../postgres/with-connection.ts'
import type { BackupPlan, Plan } from '../../run/planning/plan.ts'
import { readTables } from '../catalog/catalog.ts'
import { checkTables } from '../catalog/schema-differences.ts'
import { leaveOut } from '../plan/exclusions.ts'
import { loadBatches } from '../plan/load-batches.ts'
import { checkLoaded, dropScratch, ensureScratch } from '../scratch.ts'
import { compareLoaded } from './compare.ts'
import { loadParts } from './load.ts'

/** What "Compare backup" of a verify found, for its outcome. A restore says itself what came back otherwise. */
export const Compared = z.strictObject({ warnings: z.array(Warning) })
export type Compared = z.output<typeof Compared>

/** The backup that the run restores, without what the request leaves out. @throws NotFound for a run that restores none */
export async function readRestored({ backups, config }: Clients, plan: Plan): Promise<Backup> {
  if (plan.restore === null) throw new NotFound(`Run ${plan.runId} restores no backup`)
  const { backupId, seen, without } = plan.restore
  return leaveOut(await readBackup(backups, config.BACKUP_PREFIX, backupId, seen), without)
}

/** The backup that the run loads: to restore it, or to rehearse it. @throws NotFound for a run that loads none */
async function readLoaded(clients: Clients, plan: Plan | BackupPlan): Promise<Backup> {
  if ('restore' in plan) return readRestored(clients, plan)
  const { backups, config } = clients
  return readBackup(backups, config.BACKUP_PREFIX, plan.backupId, plan.seen)
}

/** Loads one batch of the backup's parts into the run's scratch schema. Repeating it doubles nothing. */
export async function loadBackup(
  clients: Clients,
  { plan, batch }: { plan: Plan | BackupPlan; batch: number },
  progress: (done: number, total: number) => Promise<void>,
): Promise<void> {
  const { database } = await readLoaded(clients, plan)
  const parts = loadBatches(database?.tables ?? [])[batch]
  if (parts === undefined) throw new NotFound(`The backup has no batch ${batch} to load`)
  await loadParts(clients, { runId: plan.runId, parts, check: checkTables }, progress)
}

/**
 * Compares what was loaded with the backup, before a live table is touched; a verify leaves what it found in S3.
 * @throws RehearsalFailed listing the tables
 */
export async function compareBackup(clients: Clients, plan: Plan | BackupPlan): Promise<void> {
  if ('clears' in plan && !plan.clears.includes('database')) return
  const { runId } = plan
  const { database } = await readLoaded(clients, plan)
  const tables = database?.tables ?? []
  await withConnection(clients, async (connection) => {
    try {
      const warnings = await compareHere(clients, connection, { runId, tables })
      const compared: Compared = { warnings }
      if (!('clears' in plan)) await putFirst(clients.backups, workKeys(plan).compared, compared)
    } catch (error) {
      if (error instanceof RehearsalFailed) await dropScratch(connection, runId)
      throw databaseError(error)
    }
  })
}

async function compareHere(
  clients: Clients,
  connection: Connection,
  { runId, tables }: { runId: string; tables: readonly BackedUpTable[] },
): Promise<Warning[]> {
  const live = await readTables(connection, clients.config.DATABASE_SCHEMAS)
  checkTables(tables, live)
  await ensureScratch(connection, { runId, tables })
  await checkLoaded(connection, { runId, tables })
  const { warnings } = await compareLoaded(connection, { runId, tables, live, isCurrent: false })
  return warnings
}
