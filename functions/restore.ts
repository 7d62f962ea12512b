import * as z from 'zod'
import { readRestored } from '../lib/database/load/sources.ts'
import { restoreDatabase } from '../lib/database/restore/restore.ts'
import { RunRef } from '../lib/ledger/run-ref.ts'
import { checkStoreMark } from '../lib/run/guard.ts'
import { databaseOf, readPlan, restoredBy, stayingBy } from '../lib/run/planning/plan.ts'
import { task } from '../lib/task.ts'

const RestoreInput = RunRef.extend({ target: z.literal('database') })

/** State "Restore database": puts the tables back as the backup holds them. */
export const handler = task(
  RestoreInput,
  {
    phase: () => 'Restore database',
    run: (input) => input,
    waits: () => true,
    guard: (clients, { target }) => checkStoreMark(clients, target),
  },
  async (clients, run, _report, fence) => {
    const plan = await readPlan(clients.backups, run, await fence.noted())
    const backup = await readRestored(clients, restoredBy(plan))
    await restoreDatabase(clients, { ...databaseOf(plan), backup, staying: stayingBy(plan) })
    return {}
  },
)
