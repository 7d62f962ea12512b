import { createHash, randomUUID } from 'node:crypto'
import type { Clients } from '../clients.ts'
import { IdempotencyConflict, RunActive } from '../errors.ts'
import { findExecution, startExecution } from '../executions/executions.ts'
import { findRun } from '../ledger/runs.ts'
import { withConnection } from '../postgres/with-connection.ts'
import { checkStartable } from './check-start.ts'
import { endRun } from './end.ts'
import { digestOfRequest, type Request, readAccepted } from './request.ts'

/** `replayed`: an earlier request with the same key had started it. */
export type StartedRun = { runId: string; replayed: boolean }

type Start = {
  request: Request
  /** What the execution is given: the request as it came in, or as it was understood. */
  input: unknown
  /** Whether the guards are asked before anything is started. Then a repeated request is looked for first: it is let through. */
  checkFirst: boolean
  /** The same key again gives the first run. `words` is what an error calls it. */
  key: { namespace: 'api' | 'key'; text: string; words: string } | undefined
}

/**
 * Starts the execution that carries the request out; with a key that was used before, finds the first one.
 * @returns the execution's name, which is the run's id, and whether an earlier request had started it
 * @throws IdempotencyConflict when the key was used for another request
 * @throws the errors of the guards, which the machine asks again: nothing is started then
 */
export async function startRun(clients: Clients, start: Start): Promise<StartedRun> {
  const { request, input, checkFirst, key } = start
  if (key === undefined) {
    if (checkFirst) await checkStartable(clients, request)
    const runId = randomUUID()
    await startExecution(clients, runId, input) // taken already means: by this very call, whose answer was lost
    return { runId, replayed: false }
  }
  const name = `${key.namespace}-${createHash('sha256').update(key.text).digest('hex').slice(0, 40)}`
  for (let time = 1; ; time++) {
    // A name that a guard of the machine refused, so that it never became a run, is spent; the key is not.
    const runId = time === 1 ? name : `${name}-${time}`
    const known = await startUnlessKnown(clients, start, runId)
    if (known === 'started') return { runId, replayed: false }
    if (known === 'spent') continue
    if (known.digest === digestOfRequest(request)) return { runId, replayed: true }
    throw new IdempotencyConflict(
      `${key.words} was used by run ${runId} for another request. Use a new key, or send that request unchanged`,
    )
  }
}

/** `digest`: of the request of the run; undefined when it cannot be read any more, so that it is another one than any of today. */
type FirstRun = { digest: string | undefined } | 'spent'

async function startUnlessKnown(
  clients: Clients,
  start: Start,
  runId: string,
): Promise<FirstRun | 'started'> {
  let known = start.checkFirst ? await lookUp(clients, runId) : 'free'
  while (known === 'free') {
    if (await tryToStart(clients, start, runId)) return 'started'
    known = await lookUp(clients, runId)
  }
  return known
}

/** @returns false when the same key came in at this moment, so that the next look finds its run */
async function tryToStart(
  clients: Clients,
  { request, input, checkFirst }: Start,
  runId: string,
): Promise<boolean> {
  try {
    if (checkFirst) await checkStartable(clients, request)
  } catch (error) {
    if (error instanceof RunActive && error.activeRunId === runId) return false
    throw error
  }
  return startExecution(clients, runId, input)
}

/** The execution first: one that is over has its row by then, if it ever became a run. */
async function lookUp(clients: Clients, runId: string): Promise<FirstRun | 'free'> {
  const execution = await findExecution(clients, runId)
  if (execution?.status === 'RUNNING') {
    const accepted = readAccepted(JSON.parse(execution.input ?? ''))
    return { digest: accepted && digestOfRequest(accepted) }
  }
  const row = await withConnection(clients, async (connection) => {
    await endRun(clients, connection, 'abandoned') // it must not be answered as one that is under way
    return findRun(connection, runId)
  })
  if (row !== undefined) return { digest: row.requestDigest }
  return execution === undefined ? 'free' : 'spent'
}
