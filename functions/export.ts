import { z } from 'zod'
import { exportCache } from '../lib/cache/export.ts'
import type { Clients } from '../lib/clients.ts'
import { exportDatabase } from '../lib/database/export.ts'
import { RunRef, readPlan, sealedAs } from '../lib/run/work.ts'
import { type Report, task } from '../lib/task.ts'

const ExportInput = RunRef.extend({
  target: z.enum(['database', 'cache']),
  batch: z.number().int().nonnegative(),
})

/** States "Export database" and "Export cache": write one batch of one store into the backup, and read it back. */
export const handler = task(
  ExportInput,
  { phase: ({ target }) => `Export ${target}`, run: (input) => input },
  async (clients: Clients, { target, batch, ...run }, report: Report) => {
    const plan = await readPlan(clients.backups, run)
    const backupId = sealedAs(plan)
    const schemas = clients.config.DATABASE_SCHEMAS
    if (target === 'database') await exportDatabase(clients, { plan, backupId, batch, schemas }, report)
    else await exportCache(clients, { run, backupId, expected: plan.cache?.keys ?? 0 }, report)
    return {}
  },
)
