import { setImmediate as macrotask } from 'node:timers/promises'
import {
  ExecutionError,
  type RunOptions,
  StateMachine,
  type StateMachineDefinition,
} from 'aws-local-stepfunctions'
import { MACHINE_ARN, MACHINE_NAME } from './arn.ts'
import type { Definition, Json } from './definition.ts'
import { asText, type History } from './history.ts'
import { prepareStates } from './prepare-states.ts'
import { runMap } from './run-map.ts'
import { runParallel } from './run-parallel.ts'
import { runTask, timedOut } from './run-task.ts'
import { dataLimitExceeded, MAX_PAYLOAD_BYTES, stateError, stopped } from './state-errors.ts'
import type { Tasks } from './tasks.ts'
import { type RetryIntervals, waitOverrides } from './wait-overrides.ts'

/** What a run of states knows of what lies around it. */
export type Scope = {
  /** `$$.Execution` as the states see it. */
  execution: {
    Id: string
    Name: string
    RoleArn: string
    StartTime: string
    Input: Json
    RedriveCount: number
  }
  history: History
  /** The newest event of this run; the next one points back to it. */
  previousEvent: number
  tasks: Tasks
  /** Aborted when the execution, or the Map or Parallel around this run, has ended. */
  signal: AbortSignal
  retryIntervals: RetryIntervals
}

/** A run and the state that it is in. */
export type StatesRun = Scope & {
  /** `$$.State` as the states see it. */
  current: { Name: string; EnteredTime: string; RetryCount: number }
  /** Goes up when an invocation begins and when it times out; one that ends later knows by it that nobody waits. */
  attempt: number
}

type RunEvent = Awaited<ReturnType<ReturnType<StateMachine['run']>['eventLogs']['next']>>['value']
type Handlers = NonNullable<NonNullable<RunOptions['overrides']>['taskResourceLocalHandlers']>

/**
 * Runs one level of a definition (the machine itself, a branch, an item) and gives its output. Rejects with the error
 * that ended it: its `name` is the Error, its `message` the Cause.
 */
export async function runStates(definition: Definition, input: Json, scope: Scope): Promise<Json> {
  if (scope.signal.aborted) throw stopped()
  const ended = new AbortController()
  const signal = AbortSignal.any([scope.signal, ended.signal])
  const run: StatesRun = {
    ...scope,
    signal,
    current: { Name: '', EnteredTime: '', RetryCount: 0 },
    attempt: 0,
  }
  const machine = new StateMachine(observed(definition, run), { validationOptions: { noValidate: true } })
  const running = machine.run(input, {
    context: contextOf(run),
    overrides: {
      taskResourceLocalHandlers: handlers(definition, run),
      ...waitOverrides(definition, scope.retryIntervals),
    },
  })
  signal.addEventListener('abort', running.abort, { once: true })

  let oversized: Error | undefined
  const watched = watch(running.eventLogs, (event) => {
    record(event, definition, run)
    const state = oversizedState(event)
    if (!state || oversized) return
    oversized = dataLimitExceeded(state)
    ended.abort()
  })
  try {
    const output = await running.result
    await watched // The size of the last state's output is known only now.
    if (oversized) throw oversized
    return output as Json
  } catch (error) {
    await watched
    throw oversized ?? asStateError(error)
  } finally {
    scope.previousEvent = run.previousEvent
    signal.removeEventListener('abort', running.abort)
    ended.abort() // What still runs below starts nothing more.
  }
}

/** The context object, `$$`. See prepare-states.ts for why the execution is there twice. */
export function contextOf(run: StatesRun): Record<string, unknown> {
  return {
    Run: run.execution,
    Execution: run.execution,
    StateMachine: { Id: MACHINE_ARN, Name: MACHINE_NAME },
    State: run.current,
  }
}

/** What the interpreter throws, as the error that it means. */
export function asStateError(error: unknown): Error {
  const cause = error instanceof ExecutionError ? error.cause : error
  if (!(cause instanceof Error)) return stateError('States.Runtime', String(cause))
  return cause.name === 'ExecutionAbortedError' ? stopped() : cause
}

/** The functions of the interpreter's Tasks: those of the definition, and ours for its Parallel and Map states. */
function handlers(definition: Definition, run: StatesRun): Handlers {
  const entries = Object.entries(definition.States).map(([name, state]) => [
    name,
    async (input: Json): Promise<Json> => {
      // The event log is read between this tick and the next; what it finds too large must not be handed on.
      await macrotask()
      if (run.signal.aborted) throw stopped()
      try {
        if (state.Type === 'Parallel') return await runParallel(state, input, run)
        if (state.Type === 'Map') return await runMap(name, state, input, run)
        return await runTask(name, state, input, run)
      } finally {
        run.current.RetryCount += 1
      }
    },
  ])
  return Object.fromEntries(entries) as Handlers
}

/** Tells us which state the interpreter goes to at the moment it goes there; its events come too late for that. */
function observed(definition: Definition, run: StatesRun): StateMachineDefinition {
  const prepared = prepareStates(definition)
  const States = new Proxy(prepared.States, {
    get(states, name: string) {
      if (states[name])
        Object.assign(run.current, { Name: name, EnteredTime: new Date().toISOString(), RetryCount: 0 })
      return states[name]
    },
  })
  return { ...prepared, States } as unknown as StateMachineDefinition
}

async function watch(events: AsyncGenerator<RunEvent>, look: (event: RunEvent) => void): Promise<void> {
  for await (const event of events) look(event)
}

/** Writes down what the states do; the execution's own beginning and end are written by who started it. */
function record(event: RunEvent, definition: Definition, run: StatesRun): void {
  if (!('state' in event)) return
  const { name } = event.state
  const state = definition.States[name]
  const add = (type: string, details: Record<string, unknown>) => {
    run.previousEvent = run.history.add(run.previousEvent, type, details)
  }
  if (event.type === 'StateEntered')
    add(`${state?.Type}StateEntered`, { name, input: asText(event.state.input) })
  if (event.type === 'StateExited')
    add(`${state?.Type}StateExited`, { name, output: asText(event.state.output) })
  if (event.type === 'StateFailed' && state?.Type === 'Task' && event.Error === 'States.Timeout') {
    timedOut(name, state, run)
  }
}

function oversizedState(event: RunEvent): string | undefined {
  if (event.type !== 'StateEntered' && event.type !== 'StateExited') return undefined
  const value = event.type === 'StateEntered' ? event.state.input : event.state.output
  return Buffer.byteLength(asText(value)) > MAX_PAYLOAD_BYTES ? event.state.name : undefined
}
