import type * as z from 'zod'
import { putOnce } from '../../backup/documents/write-once.ts'
import { workKeys } from '../../backup/layout.ts'
import type { BackedUpTable, Warning } from '../../backup/manifest.ts'
import type { Clients } from '../../clients.ts'
import { RehearsalFailed } from '../../errors.ts'
import { databaseError } from '../../postgres/errors.ts'
import { withConnection } from '../../postgres/with-connection.ts'
import { exists } from '../../s3/bucket.ts'
import { readTables, type Tables } from '../catalog/catalog.ts'
import { changesOf, refuseChanges } from '../catalog/changes.ts'
import { type Rehearsed, readExported, readExportedBatch } from '../export/results.ts'
import { named } from '../plan/restore-rights.ts'
import type { PlannedDatabase } from '../plan-section.ts'
import { checkLoaded, dropScratch, ensureScratch } from '../scratch.ts'
import { compareLoaded } from './compare.ts'
import { loadParts } from './load.ts'
import { trySwap } from './trial-swap.ts'

/** Loads what one batch of the run exported into its scratch schema. Repeating it doubles nothing. */
export async function loadExported(
  clients: Clients,
  { run, planned, batch }: PlannedDatabase & { batch: number },
  progress: (done: number, total: number) => Promise<void>,
): Promise<void> {
  const storage = clients.backups
  if (await exists(storage, workKeys(run).rehearsed)) return // compared and dropped already
  const { tables } = await readExported(storage, { run, planned })
  const { parts } = await readExportedBatch(storage, run, batch)
  const keys = new Set(parts.map(({ table, shard }) => `${table} ${shard}`))
  const loadable = tables.flatMap((table) =>
    table.parts.filter(({ shard }) => keys.has(`${table.name} ${shard}`)).map((part) => ({ table, part })),
  )
  await loadParts(clients, { runId: run.runId, parts: loadable, check: refuseOthers }, progress)
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
  { run, planned, wipes }: PlannedDatabase & { wipes: boolean },
): Promise<void> {
  const storage = clients.backups
  const done = workKeys(run).rehearsed
  const { runId } = run
  await withConnection(clients, async (connection) => {
    if (await exists(storage, done)) return await dropScratch(connection, runId)
    const { tables } = await readExported(storage, { run, planned })
    const warnings: Warning[] = []
    try {
      await connection.query(`SET lock_timeout = ${clients.config.LOCK_TIMEOUT_MS}`)
      const live = await readTables(connection, clients.config.DATABASE_SCHEMAS)
      refuseOthers(tables, live)
      await ensureScratch(connection, { runId, tables })
      await checkLoaded(connection, { runId, tables })
      const compared = await compareLoaded(connection, { runId, tables, live, isCurrent: true })
      warnings.push(...compared.warnings)
      const { reading } = compared
      // A restore fills tables that are empty. A run that takes nothing away keeps nobody from his rows to try that.
      if (reading.length > 0 && !wipes) warnings.push(untried(reading))
      else if (reading.length > 0)
        warnings.push(...(await trySwap(clients, connection, { run, planned, tables, reading })))
    } catch (error) {
      // Another invocation of the step was faster, and has dropped what this one was reading.
      const isDone = await exists(storage, done)
      if (isDone || error instanceof RehearsalFailed) await dropScratch(connection, runId)
      if (isDone) return
      throw databaseError(error)
    }
    const noted: z.input<typeof Rehearsed> = { rehearsedAt: clients.now().toISOString(), warnings }
    await putOnce(storage, done, noted)
    await dropScratch(connection, runId)
  })
}

function untried(reading: readonly string[]): Warning {
  const message = `It is not proved that a restore can put the rows back: ${named(reading)}, which ${reading.length === 1 ? 'reads' : 'read'} tables for each row that is put in, would have to be tried on the live tables, which a backup does not lock. A reset tries it before it wipes`
  return { code: 'NotProved', message }
}

function refuseOthers(tables: readonly BackedUpTable[], live: Tables): void {
  refuseChanges(changesOf(live, tables))
}
