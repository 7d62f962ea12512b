import { EventInput, notify } from '../lib/run/notices/notify.ts'
import { task } from '../lib/task.ts'

/** Called by EventBridge when an execution has ended, however it did. Events come late and twice. */
export const handler = task(
  EventInput,
  { phase: () => 'Notify', run: () => null },
  async (clients, event, _report, fence) => {
    await notify(clients, event, fence.signal)
    return {}
  },
)
