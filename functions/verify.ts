import * as z from 'zod'
import { RunRef } from '../lib/ledger/run-ref.ts'
import { judge, verifyObjects } from '../lib/run/on-backup/verify.ts'
import { readMaintenancePlan } from '../lib/run/planning/plan.ts'
import { task } from '../lib/task.ts'

const VerifyInput = RunRef.extend({ batch: z.number().int().nonnegative().optional() })

/**
 * State "Verify": reads one batch of a backup's objects to their ends and compares them with what was written. State
 * "Judge", without a batch: says what the backup is by what all batches found.
 */
export const handler = task(
  VerifyInput,
  {
    phase: ({ batch }) => (batch === undefined ? 'Judge' : 'Verify'),
    run: ({ batch, ...run }) => (batch === undefined ? run : { ...run, batch }),
  },
  async (clients, { batch, ...run }, report, fence) => {
    const plan = await readMaintenancePlan(clients.backups, run, await fence.noted())
    if (batch === undefined) await judge(clients, plan)
    else await verifyObjects(clients, { batch, plan }, report)
    return {}
  },
)
