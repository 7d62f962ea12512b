import { randomUUID } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import { MACHINE_ARN } from './arn.ts'
import type { Execution } from './executions.ts'
import type { Handler } from './tasks.ts'

/** Lambda gives the function of an event this long. */
const functionSeconds = 900
/** Milliseconds that the end of the stack waits for what is still being told. */
const patienceMs = 30_000

const withoutSuccess = ['FAILED', 'TIMED_OUT', 'ABORTED']

/**
 * Calls functions with what becomes of executions, as EventBridge does on AWS: in its own time, and of no consequence for the
 * execution; once, and not again when one fails. `ended` closes the run of an execution that ended without success, which
 * its states could not when somebody stopped it; `notify` is called where there is anybody to be told.
 */
export function createEvents(functions: Record<string, Handler>) {
  const telling = new Set<Promise<unknown>>()
  let hasEnded = false

  function tell(execution: Execution): void {
    if (hasEnded) return
    if (withoutSuccess.includes(execution.status)) call('ended', execution)
    if (process.env.HOOKS || process.env.NOTICES) call('notify', execution)
  }

  function call(name: 'ended' | 'notify', execution: Execution): void {
    const handler = functions[name]
    if (handler === undefined) return
    const told = Promise.resolve(handler(eventOf(execution), contextOf(name)))
      .catch(() => {}) // it has written into the log what failed
      .finally(() => telling.delete(told))
    telling.add(told)
  }

  async function told(): Promise<void> {
    while (telling.size > 0) await Promise.all(telling)
  }

  async function end(): Promise<void> {
    hasEnded = true
    const patience = new AbortController()
    const { signal } = patience
    await Promise.race([told(), setTimeout(patienceMs, undefined, { signal }).catch(() => {})])
    patience.abort()
  }

  return { tell, told, end }
}

function eventOf({ arn, name, status, input, startDate, stopDate, error, cause }: Execution): unknown {
  return JSON.parse(
    JSON.stringify({
      version: '0',
      id: randomUUID(),
      'detail-type': 'Step Functions Execution Status Change',
      source: 'aws.states',
      time: new Date(),
      detail: {
        executionArn: arn,
        stateMachineArn: MACHINE_ARN,
        name,
        status,
        startDate: startDate.getTime(),
        stopDate: stopDate?.getTime() ?? null,
        input,
        error,
        cause,
      },
    }),
  )
}

function contextOf(functionName: string) {
  const deadline = Date.now() + functionSeconds * 1000
  return {
    functionName,
    awsRequestId: randomUUID(),
    getRemainingTimeInMillis: () => Math.max(0, deadline - Date.now()),
  }
}
