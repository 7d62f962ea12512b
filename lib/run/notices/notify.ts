import { setTimeout } from 'node:timers/promises'
import * as z from 'zod'
import type { Clients } from '../../clients.ts'
import { StoreUnavailable } from '../../errors.ts'
import { findRun, type RunRow } from '../../ledger/runs.ts'
import { withConnection } from '../../postgres/with-connection.ts'
import { callOwed } from '../hooks/hooks.ts'

/** "Step Functions Execution Status Change", as EventBridge delivers it. */
export const EventInput = z.object({
  'detail-type': z.literal('Step Functions Execution Status Change'),
  detail: z.object({
    stateMachineArn: z.string().min(1),
    /** The execution's name, which is the run's id. */
    name: z.string().min(1),
    status: z.enum(['RUNNING', 'SUCCEEDED', 'FAILED', 'TIMED_OUT', 'ABORTED']),
  }),
})

/** Milliseconds that the ledger has to tell of the end: what closes a run hears of it by the same event. */
const patienceMs = 20_000
const lookEveryMs = 500

/**
 * After the end of a run, what has to be done by somebody who is not the run: nothing of it can change how it ended.
 * @throws when something could not be done, so that it is repeated; what was done is not done again
 */
export async function notify(
  clients: Clients,
  { detail }: z.output<typeof EventInput>,
  signal: AbortSignal,
): Promise<void> {
  if (detail.status === 'RUNNING') return
  const row = await ended(clients, detail.name, signal)
  if (row === undefined) return // refused before it became a run
  const fence = { signal, check: async () => signal.throwIfAborted() }
  await callOwed(clients, { runId: row.runId, fence })
}

/** @throws StoreUnavailable when the run is not over yet for the ledger */
async function ended(clients: Clients, runId: string, signal: AbortSignal): Promise<RunRow | undefined> {
  return withConnection(clients, async (connection) => {
    for (let waited = 0; ; waited += lookEveryMs) {
      const row = await findRun(connection, runId)
      if (row?.status !== 'running') return row
      if (waited >= patienceMs)
        throw new StoreUnavailable(
          `The execution of run ${runId} has ended, and the ledger does not know yet how. Nothing was called; it is tried again`,
        )
      await setTimeout(lookEveryMs, undefined, { signal })
    }
  })
}
