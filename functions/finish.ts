import { logger } from '../lib/log.ts'
import { FinishInput, finish } from '../lib/run/finish/finish.ts'
import { tidyUp } from '../lib/run/finish/tidy-up.ts'
import { withRoom } from '../lib/run/finish/with-room.ts'
import { task } from '../lib/task.ts'

/** States "Finish" and "Finish failed": write the honest outcome into the ledger and end the run. */
export const handler = task(
  FinishInput,
  { phase: () => 'Finish', run: () => null },
  async (clients, input) => {
    const outcome = await withRoom(clients, input.runId, () => finish(clients, input))
    await tidyUp(clients, input.runId)
    if ('status' in outcome) {
      const { runId, operation, strategy, status, backupId } = outcome
      logger.info('run ended', { runId, operation, strategy, status, backupId }) // counted by infra/alarms.yml
    }
    return outcome
  },
)
