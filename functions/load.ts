import { z } from 'zod'
import { loadBackup } from '../lib/database/load-backup.ts'
import { loadExported } from '../lib/database/rehearse.ts'
import { RunRef, readPlan } from '../lib/run/work.ts'
import { task } from '../lib/task.ts'

const LoadInput = RunRef.extend({
  purpose: z.enum(['rehearse', 'restore']),
  batch: z.number().int().nonnegative(),
})

/** States "Rehearse" and "Load backup": load one batch of parts into the run's scratch schema. */
export const handler = task(
  LoadInput,
  { phase: ({ purpose }) => (purpose === 'rehearse' ? 'Rehearse' : 'Load backup'), run: (input) => input },
  async (clients, { purpose, batch, ...run }, report) => {
    const plan = await readPlan({ s3: clients.s3, bucket: clients.config.BACKUP_BUCKET }, run)
    if (purpose === 'rehearse') await loadExported(clients, { plan, batch }, report)
    else await loadBackup(clients, { plan, batch }, report)
    return {}
  },
)
