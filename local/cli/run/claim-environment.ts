import { parseRequest } from '../../../lib/run/request.ts'
import type { Connected } from '../connect.ts'
import { followRun } from './follow.ts'
import { startWanted } from './start.ts'

const silent = { show() {}, end() {} }

/** Claims the environment through the state machine. Only for stores that were just made: elsewhere a person says it. */
export async function claimEnvironment(connected: Connected): Promise<void> {
  const sent = {
    operation: 'claim',
    confirm: connected.clients.config.ENVIRONMENT,
    requestedBy: 'embedded stack',
  }
  const { runId } = await startWanted(connected.clients, { sent, request: parseRequest(sent) })
  const { outcome } = await followRun(connected.clients, runId, silent)
  if (outcome.error !== null)
    throw new Error(`The environment could not be claimed: ${outcome.error.message}`)
}
