import { compareExported } from '../lib/database/rehearse.ts'
import { RunRef, readPlan } from '../lib/run/work.ts'
import { task } from '../lib/task.ts'

/** State "Compare": proves that what was loaded is what was exported. */
export const handler = task(
  RunRef,
  { phase: () => 'Compare', run: (input) => input },
  async (clients, run) => {
    const plan = await readPlan({ s3: clients.s3, bucket: clients.config.BACKUP_BUCKET }, run)
    await compareExported(clients, plan)
    return {}
  },
)
