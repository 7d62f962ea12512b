import * as z from 'zod'
import { exportCache } from '../lib/cache/export/export.ts'
import type { Clients } from '../lib/clients.ts'
import { exportDatabase } from '../lib/database/export/export.ts'
import { reconcileBatches } from '../lib/database/export/reconcile-batches.ts'
import type { Fence } from '../lib/ledger/fence.ts'
import { RunRef } from '../lib/ledger/run-ref.ts'
import { databaseOf, readPlan, sealedAs } from '../lib/run/planning/plan.ts'
import { type Report, task } from '../lib/task.ts'

const ExportInput = RunRef.extend({
  target: z.enum(['database', 'cache']),
  batch: z.number().int().nonnegative().default(0),
  purpose: z.enum(['export', 'reconcile']).default('export'),
})

/**
 * States "Export database" and "Export cache": write one batch of one store into the backup, and read it back. State
 * "Reconcile": makes the batches of the database one moment.
 */
export const handler = task(
  ExportInput,
  {
    phase: ({ target, purpose }) => (purpose === 'reconcile' ? 'Reconcile' : `Export ${target}`),
    run: (input) => input,
  },
  async (clients: Clients, { target, batch, purpose, ...run }, report: Report, fence: Fence) => {
    const plan = await readPlan(clients.backups, run, await fence.noted())
    const backupId = sealedAs(plan)
    // After each part: one that wakes up when its run is over ends there, instead of leaving parts that belong to no backup.
    const whileOurs: Report = async (done, total) => {
      await fence.check()
      await report(done, total)
    }
    if (purpose === 'reconcile') await reconcileBatches(clients, { ...databaseOf(plan), backupId })
    else if (target === 'database')
      await exportDatabase(clients, { ...databaseOf(plan), backupId, batch }, whileOurs)
    else await exportCache(clients, { run, fence, backupId, expected: plan.cache?.keys ?? 0 }, report)
    return {}
  },
)
