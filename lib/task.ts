import { randomUUID } from 'node:crypto'
import type * as z from 'zod'
import { type Clients, makeClients } from './clients.ts'
import { environmentOf } from './config.ts'
import { InvalidRequest, messageOf } from './errors.ts'
import { type Fence, fenceOf, spanOf } from './ledger/fence.ts'
import { type LedgerLine, ledgerLine, registerOf } from './ledger/line.ts'
import { registered } from './ledger/runs.ts'
import { noteEnd, recordFailure, touchRun } from './ledger/step.ts'
import { logger } from './log.ts'
import { databaseError } from './postgres/errors.ts'
import { storable } from './postgres/storable.ts'
import { messageOfPostgres } from './postgres-message.ts'
import { cut } from './visible.ts'

/** What Lambda tells a handler about the invocation, as far as we use it. */
export type LambdaContext = {
  functionName: string
  awsRequestId: string
  getRemainingTimeInMillis: () => number
}

/** Tells the ledger how far a step is; writes at most every two seconds, and the last time always. */
export type Report = (done: number, total: number) => Promise<void>

type Step<Input> = {
  /** What the step is called in the ledger, as in the state machine. */
  phase: (input: Input) => string
  /** The run that the step belongs to; null for a step that opens or closes the run itself. */
  run: (input: Input) => { runId: string; batch?: number } | null
  /** The run at whose end the step acts, for a step that changes something after its run is over. */
  endOf?: (input: Input) => { runId: string } | null
  /** Whether the step begins by waiting: until it says that it has what it waits for, it changes nothing. */
  waits?: (input: Input) => boolean
  /** Whether of several invocations of the step only the latest may act: an earlier one, given up, may be alive. */
  latestOnly?: (input: Input) => boolean
  /** Checks that come before the ledger says that the step began: what they refuse was not touched. */
  guard?: (clients: Clients, input: Input) => Promise<void>
}

const reportEveryMs = 2000

/**
 * Bytes (as JSON) of an error's message that leave the function. Lambda repeats it in the stack, and it is escaped once
 * more on its way to the next state, whose input has to stay below 32 KiB.
 */
const messageMaxBytes = 4000

/**
 * A Lambda handler: input checked by its schema, the run's heartbeat, one log line at the start and one at the end.
 * It catches only to write down the reason, which a Distributed Map would lose; the state machine owns retry and failure.
 */
export function task<Schema extends z.ZodType, Output>(
  schema: Schema,
  step: Step<z.output<Schema>>,
  verb: (clients: Clients, input: z.output<Schema>, report: Report, fence: Fence) => Promise<Output>,
): (event: unknown, context: LambdaContext) => Promise<Output> {
  return async (event, context) => {
    const parsed = schema.safeParse(event)
    if (!parsed.success) {
      const problems = parsed.error.issues.map(
        (issue) => `${issue.path.join('.') || 'input'}: ${issue.message}`,
      )
      throw new InvalidRequest(
        `The input of the state is wrong: ${problems.join('; ')}. Start the state machine, not the function`,
      )
    }
    const input = parsed.data
    const clients = await currentClients()
    const [phase, run] = [step.phase(input), step.run(input)]
    const about = { phase, ...run, requestId: context.awsRequestId }
    const started = clients.now().getTime()
    logger.info('started', about)
    const ledger = ledgerLine(clients)
    const span = spanOf(phase, () => context.getRemainingTimeInMillis())
    const invocation = step.latestOnly?.(input) ? randomUUID() : null
    const register = registerOf(ledger, { phase, requestId: context.awsRequestId, remaining: span.remaining })
    try {
      await step.guard?.(clients, input)
      const after = step.endOf?.(input) ?? null
      if (after !== null) await register.afterEnd(after.runId)
      if (run !== null && registered.test(phase)) await register.begin(run.runId)
      const number =
        run === null
          ? null
          : await ledger.use((connection) =>
              touchRun(connection, {
                ...run,
                phase,
                waits: step.waits?.(input) ?? false,
                ...(invocation === null ? {} : { latestInvocation: invocation }),
              }),
            )
      const fence = fenceOf(ledger, span, { runId: run?.runId ?? null, number, invocation })
      const output = await verb(clients, input, reporter(clients, ledger, { phase, run }), fence)
      if (run !== null) await tryToNoteEnd(ledger, { runId: run.runId, phase })
      logger.info('done', { ...about, milliseconds: clients.now().getTime() - started })
      return output
    } catch (thrown) {
      const error = databaseError(thrown)
      makePresentable(error)
      logger.error('failed', { ...about, error: nameOf(error), reason: messageOf(error) })
      if (run !== null) await noteFailure(ledger, { ...run, phase }, error)
      shortenMessage(error)
      throw error
    } finally {
      // Out of time, requests were aborted that a store may still carry out: the next run waits for the deadline.
      const isOutOfTime = span.signal.aborted
      span.end()
      if (!isOutOfTime) await register.end()
      await ledger.close()
    }
  }
}

function reporter(
  { now: clock }: Clients,
  ledger: LedgerLine,
  { phase, run }: { phase: string; run: { runId: string; batch?: number } | null },
): Report {
  let last = clock().getTime() // the step has just said that it began
  return async (done, total) => {
    const now = clock().getTime()
    if (run === null || (now - last < reportEveryMs && done !== total)) return
    last = now
    const progress = { [`${phase}/${run.batch ?? 0}`]: { done, total } }
    await ledger.use((connection) => touchRun(connection, { runId: run.runId, phase, progress }))
  }
}

/** What the step did is done, whether or not it is known until when. */
async function tryToNoteEnd(ledger: LedgerLine, step: { runId: string; phase: string }): Promise<void> {
  try {
    await ledger.use((connection) => noteEnd(connection, step))
  } catch (cause) {
    logger.warn('the end of the step could not be noted in the ledger', { ...step, reason: messageOf(cause) })
  }
}

async function noteFailure(
  ledger: LedgerLine,
  step: { runId: string; phase: string; batch?: number },
  error: unknown,
): Promise<void> {
  const { runId, ...rest } = step
  const failure = { error: nameOf(error), message: messageOf(error), ...rest }
  try {
    await ledger.use((connection) => recordFailure(connection, runId, failure))
  } catch (cause) {
    // The step's own error is the one to report; that it could not be noted as well is only logged.
    logger.warn('the failure could not be noted in the ledger', { runId, reason: messageOf(cause) })
  }
}

/**
 * What leaves the function of an error: pg calls each of its errors "error" and may repeat values of rows in them, and a
 * name from a store may hold what JSON columns refuse.
 */
export function makePresentable(error: unknown): void {
  if (!(error instanceof Error)) return
  if (messageOfPostgres(error) !== undefined) error.name = 'DatabaseError'
  const message = storable(messageOf(error))
  if (message === error.message && error.name !== 'DatabaseError') return
  error.message = message
  error.stack = `${error.name}: ${message}`
}

function shortenMessage(error: unknown): void {
  if (!(error instanceof Error)) return
  const short = cut(error.message, messageMaxBytes, 'the log has all of it')
  if (short === error.message) return
  error.message = short
  error.stack = `${error.name}: ${short}`
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : 'UnexpectedError'
}

let current: { environment: string; clients: Promise<Clients> } | undefined

/** The clients are made once per process; they are made anew only when its environment was changed. */
export function currentClients(): Promise<Clients> {
  const environment = environmentOf()
  if (current?.environment !== environment) {
    const clients = makeClients()
    current = { environment, clients }
    clients.catch(() => {
      current = undefined // a parameter that could not be read now may be readable at the next invocation
    })
  }
  return current.clients
}
