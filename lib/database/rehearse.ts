import type { z } from 'zod'
import { exists } from '../backup/exists.ts'
import { type Rehearsed, readExported, readExportedBatch } from '../backup/exported.ts'
import { workKeys } from '../backup/layout.ts'
import { putJson } from '../backup/storage.ts'
import type { Clients } from '../clients.ts'
import { RehearsalFailed } from '../errors.ts'
import type { Plan } from '../run/work.ts'
import { compareTables } from './compare.ts'
import { loadParts } from './load.ts'
import { dropScratch, ensureScratch, scratchTableOf } from './scratch.ts'
import { databaseError, withConnection } from './snapshot.ts'

/** Loads what one batch of the run exported into its scratch schema. Repeating it doubles nothing. */
export async function loadExported(
  clients: Clients,
  { plan, batch }: { plan: Plan; batch: number },
  progress: (done: number, total: number) => Promise<void>,
): Promise<void> {
  const storage = clients.backups
  if (await exists(storage, workKeys(plan).rehearsed)) return // compared and dropped already
  const { tables } = await readExported(storage, plan)
  const { parts } = await readExportedBatch(storage, plan, batch)
  const keys = new Set(parts.map(({ table, shard }) => `${table} ${shard}`))
  const loadable = tables.flatMap((table) =>
    table.parts.filter(({ shard }) => keys.has(`${table.name} ${shard}`)).map((part) => ({ table, part })),
  )
  await loadParts(clients, { runId: plan.runId, parts: loadable }, progress)
}

/**
 * Compares the scratch schema with what was exported, and notes when. Then the schema is dropped, also when they differ; any
 * other error leaves it for the repeat, or for Finish.
 * @throws RehearsalFailed listing the tables
 */
export async function compareExported(clients: Clients, plan: Plan): Promise<void> {
  const storage = clients.backups
  const done = workKeys(plan).rehearsed
  const { runId } = plan
  await withConnection(clients, async (connection) => {
    if (await exists(storage, done)) return await dropScratch(connection, runId)
    const { tables } = await readExported(storage, plan)
    try {
      await ensureScratch(connection, { runId, tables })
      await compareTables(connection, tables, (table) => scratchTableOf(runId, table))
    } catch (error) {
      if (error instanceof RehearsalFailed) await dropScratch(connection, runId)
      throw databaseError(error)
    }
    const noted: z.input<typeof Rehearsed> = { rehearsedAt: clients.now().toISOString() }
    await putJson(storage, done, noted)
    await dropScratch(connection, runId)
  })
}
