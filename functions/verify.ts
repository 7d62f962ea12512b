import * as z from 'zod'
import { RunRef } from '../lib/ledger/run-ref.ts'
import { diffStore } from '../lib/run/on-backup/diff-store.ts'
import { judge, verifyObjects } from '../lib/run/on-backup/verify.ts'
import { readMaintenancePlan } from '../lib/run/planning/plan.ts'
import { targets } from '../lib/store.ts'
import { task } from '../lib/task.ts'

const VerifyInput = RunRef.extend({
  batch: z.number().int().nonnegative().optional(),
  target: z.enum(targets).optional(),
})

/**
 * State "Verify": reads one batch of a backup's objects to their ends and compares them with what was written. State
 * "Judge", without a batch: says what the backup is by what all batches found. States "Diff …", with a store: what became of
 * it since the backup.
 * @see docs/decisions.md#a-diff-is-carried-out-by-the-function-that-verifies
 */
export const handler = task(
  VerifyInput,
  {
    phase: ({ batch, target }) =>
      target !== undefined ? `Diff ${target}` : batch === undefined ? 'Judge' : 'Verify',
    run: ({ batch, target: _, ...run }) => (batch === undefined ? run : { ...run, batch }),
  },
  async (clients, { batch, target, ...run }, report, fence) => {
    const plan = await readMaintenancePlan(clients.backups, run, await fence.noted())
    if (target !== undefined) await diffStore(clients, { target, plan, signal: fence.signal }, report)
    else if (batch === undefined) await judge(clients, plan)
    else await verifyObjects(clients, { batch, plan }, report)
    return {}
  },
)
