import * as z from 'zod'
import { prune } from '../lib/backup/retention/prune.ts'
import { RunRef } from '../lib/ledger/run-ref.ts'
import { databaseClock } from '../lib/postgres/clock.ts'
import { deleteBackup } from '../lib/run/on-backup/delete.ts'
import { readMaintenancePlan } from '../lib/run/planning/plan.ts'
import { task } from '../lib/task.ts'

const PruneInput = RunRef.extend({ purpose: z.enum(['retention', 'delete']) })

/**
 * State "Prune": after a successful run, deletes the backups that the configured retention keeps no longer. State
 * "Delete": deletes the one that a person named. Both here, because one role alone may delete backups.
 */
export const handler = task(
  PruneInput,
  {
    phase: ({ purpose }) => (purpose === 'delete' ? 'Delete' : 'Prune'),
    run: (input) => (input.purpose === 'delete' ? input : null), // the run is over when its end prunes
    endOf: (input) => (input.purpose === 'retention' ? input : null),
  },
  async (clients, { purpose, ...run }, _report, fence) => {
    if (purpose === 'delete') {
      const plan = await readMaintenancePlan(clients.backups, run, await fence.noted())
      await deleteBackup(clients, plan, fence)
      return {}
    }
    const { backups, refused } = await prune(
      { ...clients, now: await databaseClock(clients) },
      { dryRun: false, endOf: run.runId, signal: fence.signal },
    )
    return { deleted: backups.filter(({ keep }) => !keep).length, refused }
  },
)
