import type { Clients } from '../clients.ts'
import { parseRequest } from '../run/request.ts'
import { type StartedRun, startRun } from '../run/start.ts'
import type { Caller } from './api.ts'

/**
 * Starts a run for a caller of the API. A key is the caller's own: another one's that reads the same is another.
 * @param wanted a request without what the API says itself: who asks, and by which key
 * @throws the errors of the guards: nothing is started then
 */
export async function startFor(
  clients: Clients,
  { wanted, caller, key }: { wanted: object; caller: Caller; key: string | undefined },
): Promise<StartedRun> {
  const by = `api:${caller.name}`
  const request = parseRequest({
    ...wanted,
    requestedBy: by,
    ...(key !== undefined && { idempotencyKey: `${by}:${key}` }),
  })
  return startRun(clients, {
    request,
    input: request,
    checkFirst: true,
    key:
      key === undefined
        ? undefined
        : { namespace: 'api', text: `${caller.name}\n${key}`, words: 'This Idempotency-Key' },
  })
}
