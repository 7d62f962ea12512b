import * as z from 'zod'
import { compareBackup, compareExported, compareVerified } from '../lib/database/load/rehearse.ts'
import { RunRef } from '../lib/ledger/run-ref.ts'
import { destroys } from '../lib/operations.ts'
import { databaseOf, readMaintenancePlan, readPlan, restoredBy } from '../lib/run/planning/plan.ts'
import { task } from '../lib/task.ts'

const CompareInput = RunRef.extend({ purpose: z.enum(['rehearse', 'restore', 'verify']) })

/** States "Compare" and "Compare backup": prove that what was loaded is what was backed up. */
export const handler = task(
  CompareInput,
  { phase: ({ purpose }) => (purpose === 'rehearse' ? 'Compare' : 'Compare backup'), run: (input) => input },
  async (clients, { purpose, ...run }, _report, fence) => {
    const bucket = clients.backups
    if (purpose === 'verify') {
      const { backupId, seen } = await readMaintenancePlan(bucket, run, await fence.noted())
      await compareVerified(clients, { run, backupId, seen })
      return {}
    }
    const plan = await readPlan(bucket, run, await fence.noted())
    if (purpose === 'rehearse')
      await compareExported(clients, { ...databaseOf(plan), wipes: destroys(plan.operation) })
    else if (plan.clears.includes('database')) await compareBackup(clients, { run, ...restoredBy(plan) })
    return {}
  },
)
