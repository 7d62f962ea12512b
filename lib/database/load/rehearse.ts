import * as z from 'zod'
import { putOnce } from '../../backup/documents/write-once.ts'
import { workKeys } from '../../backup/layout.ts'
import { Warning } from '../../backup/manifest.ts'
import type { Clients } from '../../clients.ts'
import { RehearsalFailed } from '../../errors.ts'
import type { RunRef } from '../../ledger/run-ref.ts'
import type { Connection } from '../../postgres/connection.ts'
import { databaseError } from '../../postgres/errors.ts'
import { withConnection } from '../../postgres/with-connection.ts'
import { exists } from '../../s3/bucket.ts'
import { readTables } from '../catalog/tables.ts'
import type { Rehearsed } from '../export/results.ts'
import { named } from '../plan/restore-rights.ts'
import type { FingerprintedTables } from '../row-differences.ts'
import type { PlannedDatabase } from '../schema/plan.ts'
import { checkLoaded, ensureScratch } from '../scratch/create.ts'
import { dropScratch } from '../scratch/drop.ts'
import { type Comparison, compareLoaded } from './compare.ts'
import { loadParts } from './load.ts'
import { backupParts, exportedParts, type LoadedBackup, type Source } from './sources.ts'
import { tryReplace } from './trial-replace.ts'

/** What "Compare backup" of a verify found, for its outcome. A restore says itself what came back otherwise. */
export const Compared = z.strictObject({ warnings: z.array(Warning) })
export type Compared = z.output<typeof Compared>

type OnProgress = (done: number, total: number) => Promise<void>

/** Loads what one batch of the run exported into its scratch schema. Repeating it doubles nothing. */
export async function loadExported(
  clients: Clients,
  { batch, ...exported }: PlannedDatabase & { batch: number },
  progress: OnProgress,
): Promise<void> {
  const { run } = exported
  if (await exists(clients.backups, workKeys(run).rehearsed)) return // compared and dropped already
  await loadBatch(clients, { run, batch, source: exportedParts(clients, exported) }, progress)
}

/** The same with one batch of a backup's parts. */
export async function loadBackup(
  clients: Clients,
  { run, batch, ...loaded }: LoadedBackup & { run: RunRef; batch: number },
  progress: OnProgress,
): Promise<void> {
  await loadBatch(clients, { run, batch, source: backupParts(clients, loaded) }, progress)
}

async function loadBatch(
  clients: Clients,
  { run: { runId }, batch, source }: { run: RunRef; batch: number; source: Source },
  progress: OnProgress,
): Promise<void> {
  const parts = await source.partsOf(batch)
  await loadParts(clients, { runId, parts, check: source.check }, progress)
}

/**
 * Compares the scratch schema with what was exported, and notes when. Then the schema is dropped, also when they differ; any
 * other error leaves it for the repeat, or for Finish.
 * @param wipes whether the run wipes or replaces the tables afterwards: then it may lock them to try a restore
 * @throws RehearsalFailed listing the tables, BackupIsStale when they were altered since
 * @throws DatabaseBusy when one of them is locked for longer than LOCK_TIMEOUT_MS
 */
export async function compareExported(
  clients: Clients,
  { wipes, ...exported }: PlannedDatabase & { wipes: boolean },
): Promise<void> {
  const { run } = exported
  const bucket = clients.backups
  const done = workKeys(run).rehearsed
  await withConnection(clients, async (connection) => {
    if (await exists(bucket, done)) return await dropScratch(connection, run.runId)
    const source = exportedParts(clients, exported)
    const backedUp = await source.tables()
    const warnings: Warning[] = []
    try {
      const compared = await compareTables(clients, connection, { run, source, backedUp })
      warnings.push(...compared.warnings)
      const { reading } = compared
      // A restore fills tables that are empty. A run that takes nothing away keeps nobody from his rows to try that.
      if (reading.length > 0 && !wipes) warnings.push(untried(reading))
      else if (reading.length > 0)
        warnings.push(
          ...(await tryReplace(clients, connection, { ...exported, tables: backedUp.tables, reading })),
        )
    } catch (error) {
      // Another invocation of the step was faster, and has dropped what this one was reading.
      const isDone = await exists(bucket, done)
      if (isDone || error instanceof RehearsalFailed) await dropScratch(connection, run.runId)
      if (isDone) return
      throw databaseError(error)
    }
    const noted: z.input<typeof Rehearsed> = { rehearsedAt: clients.now().toISOString(), warnings }
    await putOnce(bucket, done, noted)
    await dropScratch(connection, run.runId)
  })
}

/**
 * Compares what was loaded with the backup, before a live table is touched.
 * @throws RehearsalFailed listing the tables
 * @throws DatabaseBusy when one of the live tables is locked for longer than LOCK_TIMEOUT_MS
 */
export async function compareBackup(
  clients: Clients,
  { run, ...loaded }: LoadedBackup & { run: RunRef },
): Promise<Compared> {
  const source = backupParts(clients, loaded)
  const backedUp = await source.tables()
  return withConnection(clients, async (connection) => {
    try {
      const { warnings } = await compareTables(clients, connection, { run, source, backedUp })
      return { warnings }
    } catch (error) {
      if (error instanceof RehearsalFailed) await dropScratch(connection, run.runId)
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

async function compareTables(
  clients: Clients,
  connection: Connection,
  { run: { runId }, source, backedUp }: { run: RunRef; source: Source; backedUp: FingerprintedTables },
): Promise<Comparison> {
  const { tables } = backedUp
  await connection.query(`SET lock_timeout = ${clients.config.LOCK_TIMEOUT_MS}`)
  const live = await readTables(connection, clients.config.DATABASE_SCHEMAS)
  source.check(tables, live)
  await ensureScratch(connection, { runId, tables })
  await checkLoaded(connection, { runId, tables })
  return compareLoaded(connection, { runId, ...backedUp, live, isCurrent: source.isCurrent })
}

function untried(reading: readonly string[]): Warning {
  const message = `It is not proved that a restore can put the rows back: ${named(reading)}, which ${reading.length === 1 ? 'reads' : 'read'} tables for each row that is put in, would have to be tried on the live tables, which a backup does not lock. A reset that rehearses its backup tries it before it wipes, where there is time`
  return { code: 'NotProved', message }
}
