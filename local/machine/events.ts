import { randomUUID } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import { MACHINE_ARN } from './arn.ts'
import type { Execution } from './executions.ts'
import type { Handler } from './tasks.ts'

/** Lambda gives the function of an event this long. */
const functionSeconds = 900
/** Milliseconds that the end of the stack waits for what is still being told. */
const patienceMs = 30_000

/**
 * Tells the function `notify` what becomes of executions, as EventBridge does on AWS: in its own time, and of no consequence for
 * the execution. Only where there is anybody to be told; once, and not again when it fails.
 */
export function createEvents(functions: Record<string, Handler>) {
  const telling = new Set<Promise<unknown>>()
  let hasEnded = false

  function tell(execution: Execution): void {
    const isHeard = process.env.HOOKS || process.env.NOTICES
    if (hasEnded || !isHeard || functions.notify === undefined) return
    const told = Promise.resolve(functions.notify(eventOf(execution), contextOf()))
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

function contextOf() {
  const deadline = Date.now() + functionSeconds * 1000
  return {
    functionName: 'notify',
    awsRequestId: randomUUID(),
    getRemainingTimeInMillis: () => Math.max(0, deadline - Date.now()),
  }
}
