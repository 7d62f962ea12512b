import type { Clients } from '../../clients.ts'
import { messageOf } from '../../errors.ts'
import { findRun, type RunRow } from '../../ledger/runs.ts'
import { logger } from '../../log.ts'
import { withConnection } from '../../postgres/with-connection.ts'
import { type Target, targets } from '../../store.ts'
import { enders } from '../../stores.ts'
import { PlanSummary } from '../planning/plan-summary.ts'

/**
 * After the end of a run: the cache obeys none of its requests any more, and its scratch schema goes. What cannot be done
 * changes nothing in the outcome, which is written: the register of invocations keeps the next run out while one may be
 * alive, that run writes its own number first, and its Count drops what was left.
 */
export async function tidyUp(clients: Clients, runId: string): Promise<void> {
  const row = await withConnection(clients, (connection) => findRun(connection, runId))
  if (row === undefined || row.status === 'running') return
  // What could still be changed by a request that is late comes first.
  for (const target of targets.toReversed()) {
    const { tidy } = enders[target]
    if (tidy === undefined || !(tidy.isForAll || actsOn(row, target))) continue
    try {
      await tidy.act(clients, row)
    } catch (cause) {
      logger.warn(`after the end of the run ${tidy.otherwise}`, { runId, reason: messageOf(cause) })
    }
  }
}

/** Of a plan that cannot be understood it is not known, so it counts as if. */
function actsOn({ plan }: RunRow, target: Target): boolean {
  const cleared = PlanSummary.pick({ clears: true }).safeParse(plan)
  return plan !== null && (!cleared.success || cleared.data.clears.includes(target))
}
