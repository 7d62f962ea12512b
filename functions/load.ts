import { z } from 'zod'
import { loadExported } from '../lib/database/rehearse.ts'
import { RunRef, readPlan } from '../lib/run/work.ts'
import { task } from '../lib/task.ts'

const LoadInput = RunRef.extend({ batch: z.number().int().nonnegative() })

/** State "Rehearse": loads one batch of the parts that were exported into the run's scratch schema. */
export const handler = task(
  LoadInput,
  { phase: () => 'Rehearse', run: (input) => input },
  async (clients, { batch, ...run }, report) => {
    const plan = await readPlan({ s3: clients.s3, bucket: clients.config.BACKUP_BUCKET }, run)
    await loadExported(clients, { plan, batch }, report)
    return {}
  },
)
