import { createHash, randomUUID } from 'node:crypto'
import type { Clients } from '../../../lib/clients.ts'
import { IdempotencyConflict } from '../../../lib/errors.ts'
import { findExecution, startExecution } from '../../../lib/executions.ts'
import { abandonDeadRun } from '../../../lib/ledger/open.ts'
import { findRun } from '../../../lib/ledger/runs.ts'
import { withConnection } from '../../../lib/postgres/with-connection.ts'
import { digestOfRequest, idempotencyKeyOf, parseRequest, type Request } from '../../../lib/run/request.ts'
import type { Wanted } from '../request.ts'

/**
 * Starts the execution that carries out the request; with an idempotency key that was used before, finds the first one.
 * @returns the execution's name, which is the run's id; `isRepeat`: it was started by an earlier request
 * @throws IdempotencyConflict when the key was used for another request
 */
export async function startRun(
  clients: Clients,
  { sent, request }: Wanted,
): Promise<{ runId: string; isRepeat: boolean }> {
  const key = idempotencyKeyOf(request)
  if (key === undefined) {
    const name = randomUUID()
    await startExecution(clients, name, sent)
    return { runId: name, isRepeat: false }
  }
  const digest = createHash('sha256').update(key).digest('hex').slice(0, 40)
  for (let time = 1; ; time++) {
    // A name that was refused by a guard, and so never became a run, is spent; the key is not.
    const name = time === 1 ? `key-${digest}` : `key-${digest}-${time}`
    if (await startExecution(clients, name, sent)) return { runId: name, isRepeat: false }
    if (await isRunOf(clients, name, request)) return { runId: name, isRepeat: true }
  }
}

/** Whether the execution of that name carries out this very request: it is under way, or got its row in the ledger. */
async function isRunOf(clients: Clients, name: string, request: Request): Promise<boolean> {
  const row = await withConnection(clients, async (connection) => {
    await abandonDeadRun(connection)
    return findRun(connection, name)
  })
  const execution = row === undefined ? await findExecution(clients, name) : undefined
  if (row === undefined && execution?.status !== 'RUNNING') return false
  const digest = row?.requestDigest ?? digestOfRequest(parseRequest(JSON.parse(execution?.input ?? '{}')))
  if (digest === digestOfRequest(request)) return true
  throw new IdempotencyConflict(
    `The idempotency key ${idempotencyKeyOf(request)} was used by run ${name} for another request. Use a new key, or send that request unchanged`,
  )
}
