import { EndedInput, failureOfEnded } from '../lib/run/finish/execution-end.ts'
import { finish } from '../lib/run/finish/finish.ts'
import { tidyUp } from '../lib/run/finish/tidy-up.ts'
import { task } from '../lib/task.ts'

/**
 * Called by EventBridge when an execution ended without success: closes the run when its own states could not. One that
 * is closed already, or that never got a row, is left as it is, so that the event may come twice and late.
 */
export const handler = task(
  EndedInput,
  { phase: () => 'Ended', run: () => null },
  async (clients, { detail }) => {
    await finish(clients, { runId: detail.name, error: failureOfEnded(detail) })
    await tidyUp(clients, detail.name)
    return {}
  },
)
