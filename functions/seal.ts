import { seal } from '../lib/backup/seal.ts'
import { RunRef, readPlan } from '../lib/run/work.ts'
import { task } from '../lib/task.ts'

/** State "Seal": proves that the backup is complete and writes its manifest. */
export const handler = task(RunRef, { phase: () => 'Seal', run: (input) => input }, async (clients, run) => {
  const plan = await readPlan(clients.backups, run)
  await seal(clients, plan)
  return {}
})
