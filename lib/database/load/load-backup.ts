import * as z from 'zod'
import { putOnce } from '../../backup/documents/write-once.ts'
import { workKeys } from '../../backup/layout.ts'
import { type BackedUpTable, type Seen, Warning } from '../../backup/manifest.ts'
import { type Backup, readBackup } from '../../backup/read.ts'
import type { Clients } from '../../clients.ts'
import { NotFound, RehearsalFailed } from '../../errors.ts'
import type { RunRef } from '../../ledger/run-ref.ts'
import type { Connection } from '../../postgres/connection.ts'
import { databaseError } from '../../postgres/errors.ts'
import { withConnection } from '../../postgres/with-connection.ts'
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

/** Which backup a run loads, as Count read it, and what of it is left out. */
export type LoadedBackup = { backupId: string; seen: Seen; without?: readonly string[] }

/** The backup, without what is left out of it. @throws NotFound, BackupDamaged, InvalidRequest */
export async function readRestored(
  { backups, config }: Pick<Clients, 'backups' | 'config'>,
  { backupId, seen, without = [] }: LoadedBackup,
): Promise<Backup> {
  return leaveOut(await readBackup(backups, config.BACKUP_PREFIX, backupId, seen), without)
}

/** Loads one batch of the backup's parts into the run's scratch schema. Repeating it doubles nothing. */
export async function loadBackup(
  clients: Clients,
  { run: { runId }, batch, ...loaded }: LoadedBackup & { run: RunRef; batch: number },
  progress: (done: number, total: number) => Promise<void>,
): Promise<void> {
  const { database } = await readRestored(clients, loaded)
  const parts = loadBatches(database?.tables ?? [])[batch]
  if (parts === undefined) throw new NotFound(`The backup has no batch ${batch} to load`)
  await loadParts(clients, { runId, parts, check: checkTables }, progress)
}

/**
 * Compares what was loaded with the backup, before a live table is touched.
 * @throws RehearsalFailed listing the tables
 * @throws DatabaseBusy when one of the live tables is locked for longer than LOCK_TIMEOUT_MS
 */
export async function compareBackup(
  clients: Clients,
  { run: { runId }, ...loaded }: LoadedBackup & { run: RunRef },
): Promise<Compared> {
  const { database } = await readRestored(clients, loaded)
  const tables = database?.tables ?? []
  return withConnection(clients, async (connection) => {
    try {
      await connection.query(`SET lock_timeout = ${clients.config.LOCK_TIMEOUT_MS}`)
      return { warnings: await compareHere(clients, connection, { runId, tables }) }
    } catch (error) {
      if (error instanceof RehearsalFailed) await dropScratch(connection, runId)
      throw databaseError(error)
    }
  })
}

/** The same for the backup that a verify is about; what it found is left for the outcome. */
export async function compareVerified(
  clients: Clients,
  { run, ...loaded }: LoadedBackup & { run: RunRef },
): Promise<void> {
  const compared = await compareBackup(clients, { run, ...loaded })
  await putOnce(clients.backups, workKeys(run).compared, compared)
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
