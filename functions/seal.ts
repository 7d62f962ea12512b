import { RunRef } from '../lib/ledger/run-ref.ts'
import { databaseClock } from '../lib/postgres/clock.ts'
import { readPlan } from '../lib/run/planning/plan.ts'
import { pinSealed, seal } from '../lib/run/seal.ts'
import { task } from '../lib/task.ts'

/** State "Seal": proves that the backup is complete and writes its manifest, and the pin that was asked for. */
export const handler = task(
  RunRef,
  { phase: () => 'Seal', run: (input) => input },
  async (clients, run, _report, fence) => {
    const plan = await readPlan(clients.backups, run, await fence.noted())
    const timed = { ...clients, now: await databaseClock(clients) }
    await seal(timed, plan, fence.check, fence.signal)
    await pinSealed(timed, plan)
    return {}
  },
)
