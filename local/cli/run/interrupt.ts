import { once } from 'node:events'
import { createInterface } from 'node:readline/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf, ResetError } from '../../../lib/errors.ts'
import { stopExecution } from '../../../lib/executions/executions.ts'
import { findRun, isCancellable, type RunRow } from '../../../lib/ledger/runs.ts'
import { withConnection } from '../../../lib/postgres/with-connection.ts'
import { cancelRun } from '../../../lib/run/cancel.ts'
import { visibleName } from '../../../lib/visible.ts'
import type { Answer } from '../answer.ts'
import type { Connected } from '../connect.ts'
import { commandLine } from '../program.ts'
import { requester } from '../request.ts'
import { showOutcome } from '../show/outcome.ts'
import { outcomeOf } from './outcome-of.ts'

/** Milliseconds that a run which was started just now may need to get into the ledger. */
const begunWithinMs = 3000

/** npm passes Ctrl-C on, so that it comes twice: only what comes later than this is a second, impatient one. */
const twiceWithinMs = 1000

/**
 * What Ctrl-C means while a run is followed. As long as it has changed nothing, a person is asked; where nobody can be asked,
 * it is left to go on, with the commands that cancel and show it. A run in this very process cannot outlive it: it is
 * cancelled, or, once it changes a store, let end; a second Ctrl-C stops it where it is.
 * @param again aborted by a second Ctrl-C
 * @see docs/decisions.md#ctrl-c-does-not-decide-for-the-operator
 */
export async function answerInterrupt(
  connected: Connected,
  runId: string,
  again: AbortSignal,
): Promise<Answer | 'goes on'> {
  if (connected.stack?.machine !== undefined) return await interruptHere(connected, runId, again)
  const impatient = once(again, 'abort').then(() => left(runId, undefined))
  const asked = interruptElsewhere(connected, runId, again).catch((error: unknown) => {
    // The ledger cannot be asked: what can be done about the run is to be known all the same.
    if (!(error instanceof ResetError)) throw error
    process.stderr.write(`${error.name}: ${visibleName(messageOf(error))}\n`)
    return left(runId, undefined)
  })
  return await Promise.race([impatient, asked])
}

async function interruptElsewhere(
  connected: Connected,
  runId: string,
  again: AbortSignal,
): Promise<Answer | 'goes on'> {
  const row = await findBegun(connected, runId)
  if (row === undefined || !isCancellable(row)) return left(runId, row)
  const wanted = await askToCancel(runId, { choices: ['cancel', 'leave'], otherwise: 'leave' }, again)
  if (wanted === 'leave') return left(runId, row)
  return wanted === 'cancel' ? await cancelNow(connected, runId) : 'goes on'
}

async function interruptHere(
  connected: Connected,
  runId: string,
  again: AbortSignal,
): Promise<Answer | 'goes on'> {
  const row = await findBegun(connected, runId)
  if (row === undefined) return await stopHere(connected, runId)
  if (row.status !== 'running') return 'goes on'
  if (isCancellable(row)) {
    const wanted = await askToCancel(runId, { choices: ['cancel'], otherwise: 'cancel' }, again)
    const cancelled = wanted === 'cancel' ? await cancelNow(connected, runId) : 'goes on'
    if (wanted !== 'cancel' || cancelled !== 'goes on') return cancelled
  }
  return await letEnd(connected, runId, again)
}

async function findBegun({ clients }: Connected, runId: string): Promise<RunRow | undefined> {
  const until = Date.now() + begunWithinMs
  for (;;) {
    const row = await withConnection(clients, (connection) => findRun(connection, runId))
    if (row !== undefined || Date.now() > until) return row
    await sleep(200)
  }
}

type Terminal = {
  input: NodeJS.ReadableStream & { isTTY?: boolean }
  output: NodeJS.WritableStream & { isTTY?: boolean }
}

/** @returns `otherwise` when nobody can be asked, or nobody answers because Ctrl-C came again */
export async function askToCancel<Choice extends 'cancel' | 'leave'>(
  runId: string,
  { choices, otherwise }: { choices: readonly Choice[]; otherwise: Choice },
  again: AbortSignal,
  { input, output }: Terminal = { input: process.stdin, output: process.stderr },
): Promise<Choice | 'go on'> {
  if (!input.isTTY || !output.isTTY) return otherwise
  const says = { cancel: 'c: cancel it', leave: 'l: leave it running' }
  const offered = choices.map((choice) => says[choice]).join(', ')
  const terminal = createInterface({ input, output })
  try {
    for (let before = `\nRun ${runId} has changed nothing yet.`; ; ) {
      const typed = await terminal
        .question(`${before} ${offered}, Enter: go on watching: `, { signal: again })
        .then(
          (line) => line.trim().toLowerCase(),
          () => undefined,
        )
      if (typed === undefined) return otherwise
      if (typed === '') return 'go on'
      const chosen = choices.find((choice) => choice.startsWith(typed))
      if (chosen !== undefined) return chosen
      before = `"${visibleName(typed)}" is no answer.`
    }
  } finally {
    terminal.close()
  }
}

/** Of a run that goes on elsewhere: what can still be done about it, by what the ledger says of it now. */
function left(runId: string, row: RunRow | undefined): Answer {
  const look = `To look at it: ${commandLine('runs', runId)}`
  if (row !== undefined && row.status !== 'running')
    return interruptAnswer(`The run ${runId} is over. ${look}`)
  if (row !== undefined && !isCancellable(row)) {
    return interruptAnswer(
      `The run ${runId} goes on, in "${row.phase}": it is changing the stores and cannot be cancelled any more. ${look}`,
    )
  }
  return interruptAnswer(
    `The run ${runId} goes on. To cancel it, as long as it has changed nothing: ${commandLine('cancel', runId)}. ${look}`,
  )
}

/** @returns `goes on` when it was too late, which is told */
async function cancelNow({ clients }: Connected, runId: string): Promise<Answer | 'goes on'> {
  try {
    await cancelRun(clients, { runId, by: requester() })
    return interruptAnswer(`The run ${runId} is cancelled. Nothing was wiped, restored or deleted.`)
  } catch (error) {
    if (!(error instanceof ResetError)) throw error
    process.stderr.write(`${error.name}: ${visibleName(messageOf(error))}\n`)
    return 'goes on'
  }
}

/** A store that is being changed would be left half changed: only a second Ctrl-C does that. */
async function letEnd(connected: Connected, runId: string, again: AbortSignal): Promise<Answer | 'goes on'> {
  process.stderr.write(
    `\nThe run ${runId} is changing the stores, in this process: it is followed to its end. Ctrl-C once more stops it where it is.\n`,
  )
  for (let isOver = false; !isOver && !again.aborted; ) {
    const row = await withConnection(connected.clients, (connection) => findRun(connection, runId))
    isOver = row?.status !== 'running'
    await sleep(200, undefined, { signal: again }).catch(() => {})
  }
  return again.aborted ? await stopHere(connected, runId) : 'goes on'
}

async function stopHere({ clients, stack, isGoneAfterwards }: Connected, runId: string): Promise<Answer> {
  process.stderr.write('\nStopping the run …\n')
  const error = { Error: 'Interrupted', Cause: 'The run was stopped by Ctrl-C' }
  await stopExecution(clients, runId, { error: error.Error, cause: error.Cause })
  await stack?.machine?.stop() // what a function at work still does must be done before it is written down
  const { finish } = await import('../../../lib/run/finish/finish.ts')
  await finish(clients, { runId, error })
  const row = await withConnection(clients, (connection) => findRun(connection, runId))
  if (row === undefined) return interruptAnswer(`The run ${runId} was stopped before it began.`)
  const outcome = outcomeOf(row, clients.config)
  const around = { plan: row.plan, environment: clients.config.ENVIRONMENT, isGone: isGoneAfterwards }
  return { document: outcome, text: showOutcome(outcome, around), code: 130 }
}

export function interruptAnswer(message: string): Answer {
  return { document: { error: { name: 'Interrupted', message } }, text: `${message}\n`, code: 130 }
}

/** The first Ctrl-C, the second, and how to listen no more; the third ends the process at once. */
export function listenForInterruption(): { first: AbortSignal; second: AbortSignal; forget(): void } {
  const controllers = [new AbortController(), new AbortController()] as const
  let times = 0
  let last: number | undefined
  const onSignal = () => {
    if (last !== undefined && Date.now() - last < twiceWithinMs) return
    last = Date.now()
    const controller = controllers[times++]
    if (controller === undefined) process.exit(130)
    controller.abort()
  }
  process.on('SIGINT', onSignal)
  return {
    first: controllers[0].signal,
    second: controllers[1].signal,
    forget: () => void process.off('SIGINT', onSignal),
  }
}
