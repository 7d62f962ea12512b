import { createHash, randomUUID } from 'node:crypto'
import type { Clients } from '../clients.ts'
import { IdempotencyConflict, RunActive } from '../errors.ts'
import { findExecution, startExecution } from '../executions.ts'
import type { Caller } from '../http/api.ts'
import { abandonDeadRun } from '../ledger/open.ts'
import { findRun } from '../ledger/runs.ts'
import { withConnection } from '../postgres/with-connection.ts'
import { checkStartable } from './check-start.ts'
import { digestOfRequest, parseRequest, type Request } from './request.ts'

/** `replayed`: an earlier request with the same key had started it. */
export type StartedRun = { runId: string; replayed: boolean }

/**
 * Starts the execution that carries the request out; with a key that this caller used before, finds the first one.
 * @param wanted a request without what the API says itself: who asks, and by which key
 * @returns the execution's name, which is the run's id, and whether an earlier request had started it
 * @throws IdempotencyConflict when the key was used for another request
 * @throws the errors of the guards, which the machine asks again: nothing is started then
 */
export async function startRun(
  clients: Clients,
  { wanted, caller, key }: { wanted: object; caller: Caller; key: string | undefined },
): Promise<StartedRun> {
  const by = `api:${caller.name}`
  if (key === undefined) {
    const request = parseRequest({ ...wanted, requestedBy: by })
    await checkStartable(clients, request)
    const runId = randomUUID()
    await startExecution(clients, runId, request) // taken already means: by this very call, whose answer was lost
    return { runId, replayed: false }
  }
  const request = parseRequest({ ...wanted, requestedBy: by, idempotencyKey: `${by}:${key}` })
  return startOnce(clients, request, `api-${digest(`${caller.name}\n${key}`)}`)
}

/** A name that a guard of the machine refused, so that it never became a run, is spent; the key is not. */
async function startOnce(clients: Clients, request: Request, name: string): Promise<StartedRun> {
  let runId = name
  for (let time = 2; ; ) {
    const known = await lookUp(clients, runId)
    if (known === 'spent') runId = `${name}-${time++}`
    else if (known !== 'free') return repeated(runId, known.digest, request)
    else if (await tryToStart(clients, request, runId)) return { runId, replayed: false }
  }
}

/** @returns false when the same key came in at this moment, so that the next look finds its run */
async function tryToStart(clients: Clients, request: Request, runId: string): Promise<boolean> {
  try {
    await checkStartable(clients, request)
  } catch (error) {
    if (error instanceof RunActive && error.activeRunId === runId) return false
    throw error
  }
  return startExecution(clients, runId, request)
}

function repeated(runId: string, digest: string, request: Request): StartedRun {
  if (digest === digestOfRequest(request)) return { runId, replayed: true }
  throw new IdempotencyConflict(
    `This Idempotency-Key was used by run ${runId} for another request. Use a new key, or send that request unchanged`,
  )
}

/** The execution first: one that is over has its row by then, if it ever became a run. */
async function lookUp(clients: Clients, runId: string): Promise<{ digest: string } | 'spent' | 'free'> {
  const execution = await findExecution(clients, runId)
  if (execution?.status === 'RUNNING') {
    return { digest: digestOfRequest(parseRequest(JSON.parse(execution.input ?? ''))) }
  }
  const row = await withConnection(clients, async (connection) => {
    await abandonDeadRun(connection)
    return findRun(connection, runId)
  })
  if (row !== undefined) return { digest: row.requestDigest }
  return execution === undefined ? 'free' : 'spent'
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 40)
}
