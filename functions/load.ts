import * as z from 'zod'
import { loadBackup, loadExported } from '../lib/database/load/rehearse.ts'
import { loadToRestore } from '../lib/database/load/to-restore.ts'
import { RunRef } from '../lib/ledger/run-ref.ts'
import { databaseOf, readMaintenancePlan, readPlan, restoredBy } from '../lib/run/planning/plan.ts'
import { task } from '../lib/task.ts'

const LoadInput = RunRef.extend({
  purpose: z.enum(['rehearse', 'restore', 'verify']),
  batch: z.number().int().nonnegative(),
})

/** States "Rehearse" and "Load backup": load one batch of parts into the run's scratch schema. */
export const handler = task(
  LoadInput,
  { phase: ({ purpose }) => (purpose === 'rehearse' ? 'Rehearse' : 'Load backup'), run: (input) => input },
  async (clients, { purpose, batch, ...run }, report, fence) => {
    const bucket = clients.backups
    if (purpose === 'verify') {
      const { backupId, seen } = await readMaintenancePlan(bucket, run, await fence.noted())
      await loadBackup(clients, { run, batch, backupId, seen }, report)
      return {}
    }
    const plan = await readPlan(bucket, run, await fence.noted())
    if (purpose === 'rehearse') await loadExported(clients, { ...databaseOf(plan), batch }, report)
    else {
      const { backupId: safetyBackupId } = plan
      await loadToRestore(clients, { run, batch, safetyBackupId, ...restoredBy(plan) }, report)
    }
    return {}
  },
)
