import { randomUUID } from 'node:crypto'
import { executionArn, ROLE_ARN } from './arn.ts'
import type { Definition, Json } from './definition.ts'
import { asText, createHistory, type History } from './history.ts'
import { runStates, type Scope } from './run-states.ts'
import { MAX_PAYLOAD_BYTES } from './state-errors.ts'
import { createTasks, type TaskSettings, type Tasks } from './tasks.ts'
import type { RetryIntervals } from './wait-overrides.ts'

type Status = 'RUNNING' | 'SUCCEEDED' | 'FAILED' | 'TIMED_OUT' | 'ABORTED'

export type Execution = {
  /** Counts up; a page of a list ends at one of these. */
  number: number
  arn: string
  name: string
  input: string
  status: Status
  startDate: Date
  stopDate?: Date
  output?: string
  error?: string
  cause?: string
  history: History
  tasks: Tasks
  /** Resolves when it is no longer running. */
  done: Promise<void>
  stop(error: string | undefined, cause: string | undefined): void
}

/** What runs executions, and who hears of each status that one comes to. */
type Settings = TaskSettings & { retryIntervals: RetryIntervals; onStatus?: (execution: Execution) => void }

export type Executions = {
  start(name: string | undefined, input: string): Execution
  byName(name: string): Execution | undefined
  /** Newest first. */
  all(): Execution[]
}

/** An error that the API of Step Functions has a name for. */
export class ApiError extends Error {
  override readonly name: string
  constructor(name: string, message: string) {
    super(message)
    this.name = name
  }
}

const CLOSED_KEPT = 1_000
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are among those that AWS forbids.
const FORBIDDEN_IN_NAME = /[\s<>{}[\]?*"#%\\^|~`$&,;:/\u0000-\u001f\u007f-\u009f\ufffe\uffff]/

/** The executions of one machine, in memory; the oldest closed ones are forgotten. */
export function createExecutions(definition: Definition, settings: Settings): Executions {
  const executions = new Map<string, Execution>()
  let count = 0

  function start(name: string = randomUUID(), input: string): Execution {
    assertName(name)
    const parsed = parseInput(input)
    const known = executions.get(name)
    if (known) {
      // The same request again, its answer lost: there must not be a second execution, nor an error.
      if (known.status === 'RUNNING' && known.input === input) return known
      throw new ApiError('ExecutionAlreadyExists', `Execution Already Exists: '${known.arn}'`)
    }
    forgetOldest(executions)
    count += 1
    const execution = run(definition, settings, count, name, input, parsed)
    executions.set(name, execution)
    return execution
  }

  return { start, byName: (name) => executions.get(name), all: () => [...executions.values()].reverse() }
}

function run(
  definition: Definition,
  settings: Settings,
  number: number,
  name: string,
  input: string,
  parsed: Json,
): Execution {
  const ended = new AbortController()
  const { promise: done, resolve: tellEnd } = Promise.withResolvers<void>()
  const history = createHistory()
  const tasks = createTasks(settings)
  const arn = executionArn(name)
  const startDate = new Date()
  const scope: Scope = {
    execution: {
      Id: arn,
      Name: name,
      RoleArn: ROLE_ARN,
      StartTime: startDate.toISOString(),
      Input: parsed,
      RedriveCount: 0,
    },
    history,
    previousEvent: history.add(0, 'ExecutionStarted', { input, roleArn: ROLE_ARN }),
    tasks,
    signal: ended.signal,
    retryIntervals: settings.retryIntervals,
  }
  const execution: Execution = {
    number,
    arn,
    name,
    input,
    status: 'RUNNING',
    startDate,
    history,
    tasks,
    done,
    stop,
  }

  function end(status: Status, result: { output?: string; error?: string; cause?: string }): void {
    if (execution.status !== 'RUNNING') return
    Object.assign(execution, { status, stopDate: new Date(), ...result })
    history.add(scope.previousEvent, EVENT_OF_END[status], result)
    ended.abort()
    settings.onStatus?.(execution)
    tellEnd()
  }

  function stop(error: string | undefined, cause: string | undefined): void {
    end('ABORTED', { ...(error === undefined ? {} : { error }), ...(cause === undefined ? {} : { cause }) })
  }

  settings.onStatus?.(execution)
  void runStates(definition, parsed, scope).then(
    (output) => end('SUCCEEDED', { output: asText(output) }),
    (error: Error) => {
      if (error.name === 'ExecutionTimeoutError') end('TIMED_OUT', { error: 'States.Timeout' })
      else end('FAILED', { error: error.name, cause: error.message })
    },
  )
  return execution
}

const EVENT_OF_END: Record<Status, string> = {
  RUNNING: 'ExecutionStarted',
  SUCCEEDED: 'ExecutionSucceeded',
  FAILED: 'ExecutionFailed',
  TIMED_OUT: 'ExecutionTimedOut',
  ABORTED: 'ExecutionAborted',
}

function assertName(name: string): void {
  if (name.length >= 1 && name.length <= 80 && !FORBIDDEN_IN_NAME.test(name)) return
  throw new ApiError(
    'InvalidName',
    `Invalid Name: '${name}' (1 to 80 characters, without spaces, brackets, wildcards…)`,
  )
}

function parseInput(input: string): Json {
  const bytes = Buffer.byteLength(input)
  if (bytes > MAX_PAYLOAD_BYTES) {
    throw new ApiError(
      'InvalidExecutionInput',
      `Input is ${bytes} bytes long; the limit is ${MAX_PAYLOAD_BYTES}.`,
    )
  }
  try {
    return JSON.parse(input) as Json
  } catch (error) {
    throw new ApiError(
      'InvalidExecutionInput',
      `Invalid State Machine Execution Input: '${(error as Error).message}'`,
    )
  }
}

function forgetOldest(executions: Map<string, Execution>): void {
  const closed = [...executions.values()].filter(({ status }) => status !== 'RUNNING')
  for (const { name } of closed.slice(0, Math.max(0, closed.length - CLOSED_KEPT + 1)))
    executions.delete(name)
}
