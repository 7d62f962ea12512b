import { prune } from '../lib/backup/prune.ts'
import { RunRef } from '../lib/run/work.ts'
import { task } from '../lib/task.ts'

/** State "Prune": after a successful run, deletes the backups that the configured retention keeps no longer. */
export const handler = task(RunRef, { phase: () => 'Prune', run: () => null }, async (clients, { runId }) => {
  const { backups, refused } = await prune(clients, { dryRun: false, endOf: runId })
  return { deleted: backups.filter(({ keep }) => !keep).length, refused }
})
