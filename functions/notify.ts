import { EventInput } from '../lib/run/notices/event.ts'
import { notify } from '../lib/run/notices/notify.ts'
import { task } from '../lib/task.ts'

/** Called by EventBridge when an execution has begun or ended, and by the alarm for missing backups. Events come late and twice. */
export const handler = task(
  EventInput,
  { phase: () => 'Notify', run: () => null },
  async (clients, event, _report, fence) => {
    await notify(clients, event, fence.signal)
    return {}
  },
)
