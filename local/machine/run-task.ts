import { REGION } from './arn.ts'
import { type Json, type State, taskTarget } from './definition.ts'
import { asText } from './history.ts'
import type { StatesRun } from './run-states.ts'

/** One invocation of a Task's function, with the events that AWS writes for it. */
export async function runTask(name: string, state: State, input: Json, run: StatesRun): Promise<Json> {
  const { functionName, integrated } = taskTarget(name, state)
  const parameters = integrated ? (input as { FunctionName?: string; Payload?: Json }) : {}
  const call = {
    state: name,
    functionName: functionName || (parameters.FunctionName ?? ''),
    input: integrated ? (parameters.Payload ?? {}) : input,
    timeoutSeconds:
      typeof state.TimeoutSeconds === 'number' ? state.TimeoutSeconds : Number.POSITIVE_INFINITY,
  }
  run.attempt += 1
  const { attempt } = run
  const add = (type: string, details?: Record<string, unknown>) => {
    if (attempt !== run.attempt || run.signal.aborted) return
    run.previousEvent = run.history.add(run.previousEvent, type, details)
  }
  const kind = kindOf(integrated)
  add(`${kind}Scheduled`, scheduled(state, call.input, integrated))
  add(`${kind}Started`)
  try {
    const result = await run.tasks.invoke(call)
    const output = integrated ? { ExecutedVersion: '$LATEST', Payload: result, StatusCode: 200 } : result
    add(`${kind}Succeeded`, { output: asText(output) })
    return output
  } catch (error) {
    add(`${kind}Failed`, { error: (error as Error).name, cause: (error as Error).message })
    throw error
  }
}

/** The interpreter gave up waiting. The function itself runs on, as it does on AWS; what it still does is not written. */
export function timedOut(name: string, state: State, run: StatesRun): void {
  run.attempt += 1
  const kind = kindOf(taskTarget(name, state).integrated)
  run.previousEvent = run.history.add(run.previousEvent, `${kind}TimedOut`, { error: 'States.Timeout' })
}

/** A Task on a function's own ARN is written with other event types than one on `lambda:invoke`. */
function kindOf(integrated: boolean): 'Task' | 'LambdaFunction' {
  return integrated ? 'Task' : 'LambdaFunction'
}

function scheduled(state: State, input: Json, integrated: boolean): Record<string, unknown> {
  if (!integrated) return { resource: state.Resource, input: asText(input) }
  return { resourceType: 'lambda', resource: 'invoke', region: REGION, parameters: asText(input) }
}
