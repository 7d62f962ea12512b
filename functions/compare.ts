import * as z from 'zod'
import { compareBackup } from '../lib/database/load/load-backup.ts'
import { compareExported } from '../lib/database/load/rehearse.ts'
import { RunRef } from '../lib/ledger/run-ref.ts'
import { readBackupPlan, readPlan } from '../lib/run/planning/plan.ts'
import { task } from '../lib/task.ts'

const CompareInput = RunRef.extend({ purpose: z.enum(['rehearse', 'restore', 'verify']) })

/** States "Compare" and "Compare backup": prove that what was loaded is what was backed up. */
export const handler = task(
  CompareInput,
  { phase: ({ purpose }) => (purpose === 'rehearse' ? 'Compare' : 'Compare backup'), run: (input) => input },
  async (clients, { purpose, ...run }, _report, fence) => {
    const storage = clients.backups
    if (purpose === 'rehearse')
      await compareExported(clients, await readPlan(storage, run, await fence.noted()))
    if (purpose === 'restore') await compareBackup(clients, await readPlan(storage, run, await fence.noted()))
    if (purpose === 'verify')
      await compareBackup(clients, await readBackupPlan(storage, run, await fence.noted()))
    return {}
  },
)
