import * as z from 'zod'
import { cacheEnd } from '../../cache/outcome.ts'
import type { Clients } from '../../clients.ts'
import { dropScratch } from '../../database/scratch/drop.ts'
import { messageOf } from '../../errors.ts'
import { findRun, type RunRow } from '../../ledger/runs.ts'
import { logger } from '../../log.ts'
import { withConnection } from '../../postgres/with-connection.ts'

const Cleared = z.object({ clears: z.array(z.string()) })

/**
 * After the end of a run: the cache obeys none of its requests any more, and its scratch schema goes. What cannot be done
 * changes nothing in the outcome, which is written: the register of invocations keeps the next run out while one may be
 * alive, that run writes its own number first, and its Count drops what was left.
 */
export async function tidyUp(clients: Clients, runId: string): Promise<void> {
  const row = await withConnection(clients, (connection) => findRun(connection, runId))
  if (row === undefined || row.status === 'running') return
  if (usesCache(row))
    await unlessRefused('the cache was not closed to the run', runId, async () =>
      cacheEnd.tidy?.(clients, row),
    )
  await unlessRefused('the scratch schema was not dropped', runId, () =>
    withConnection(clients, (connection) => dropScratch(connection, runId)),
  )
}

/** Of a plan that cannot be understood it is not known, so it counts as if. */
function usesCache({ plan }: RunRow): boolean {
  const cleared = Cleared.safeParse(plan)
  return plan !== null && (!cleared.success || cleared.data.clears.includes('cache'))
}

async function unlessRefused(what: string, runId: string, act: () => Promise<void>): Promise<void> {
  try {
    await act()
  } catch (cause) {
    logger.warn(`after the end of the run ${what}`, { runId, reason: messageOf(cause) })
  }
}
