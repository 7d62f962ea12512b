import { RunRef } from '../lib/ledger/run-ref.ts'
import { databaseClock } from '../lib/postgres/clock.ts'
import { readPlan } from '../lib/run/planning/plan.ts'
import { seal } from '../lib/run/seal.ts'
import { task } from '../lib/task.ts'

/** State "Seal": proves that the backup is complete and writes its manifest. */
export const handler = task(
  RunRef,
  { phase: () => 'Seal', run: (input) => input },
  async (clients, run, _report, fence) => {
    const plan = await readPlan(clients.backups, run, await fence.noted())
    await seal({ ...clients, now: await databaseClock(clients) }, plan, fence.check, fence.signal)
    return {}
  },
)
