import { RunRef } from '../lib/ledger/run-ref.ts'
import { verify } from '../lib/run/on-backup/verify.ts'
import { readMaintenancePlan } from '../lib/run/planning/plan.ts'
import { task } from '../lib/task.ts'

/** State "Verify": reads every object of a backup to its end and compares it with what was written. */
export const handler = task(
  RunRef,
  { phase: () => 'Verify', run: (input) => input },
  async (clients, run, report, fence) => {
    const plan = await readMaintenancePlan(clients.backups, run, await fence.noted())
    await verify(clients, plan, report)
    return {}
  },
)
