import type { Clients } from '../../../lib/clients.ts'
import { idempotencyKeyOf } from '../../../lib/run/request.ts'
import { type StartedRun, startRun } from '../../../lib/run/start.ts'
import type { Wanted } from '../request.ts'

/** Starts a run for a person, or finds the one that the same key started. The guards are asked by the machine alone, whose answer is shown. */
export function startWanted(clients: Clients, { sent, request }: Wanted): Promise<StartedRun> {
  const key = idempotencyKeyOf(request)
  return startRun(clients, {
    request,
    input: sent,
    checkFirst: false,
    key: key === undefined ? undefined : { namespace: 'key', text: key, words: `The idempotency key ${key}` },
  })
}
