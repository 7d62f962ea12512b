import { createServer, type IncomingMessage } from 'node:http'
import { close, LOOPBACK, listen } from '../loopback.ts'
import { type Operation, operations } from './api.ts'
import type { Definition } from './definition.ts'
import { createEvents } from './events.ts'
import { ApiError, createExecutions, type Execution, type Executions } from './executions.ts'
import type { Handler, TaskFailure, TaskPayload, TaskSettings } from './tasks.ts'
import type { RetryIntervals } from './wait-overrides.ts'

export type StepFunctionsEndpoint = {
  url: string
  /** The largest input and output that each Task state of an execution had, in bytes. */
  taskPayloads(executionName: string): TaskPayload[]
  /** Every failed invocation, also those in the children of a Distributed Map, which no history shows. */
  taskFailures(executionName: string): TaskFailure[]
  /** Resolves when an execution is no longer running, which its description then says. */
  ended(executionName: string): Promise<void>
  /** Resolves when all that was told of executions until now was heard, or could not be. */
  told(): Promise<void>
  /** Aborts what runs, and waits a moment for the functions that are at work. */
  stop(): Promise<void>
}

export type StepFunctionsOptions = {
  definition: Definition
  /** May be filled later, before the first execution. */
  functions: Record<string, Handler>
  beforeTask?: TaskSettings['beforeTask']
  retryIntervals?: RetryIntervals
}

const TARGET_PREFIX = 'AWSStepFunctions.'
const GRACE_MS = 2_000

/** Speaks the AWS JSON 1.0 protocol, as `@aws-sdk/client-sfn` does, and runs the definition in this process. */
export async function startStepFunctions(options: StepFunctionsOptions): Promise<StepFunctionsEndpoint> {
  const inFlight = new Set<Promise<unknown>>()
  const { definition, functions, beforeTask, retryIntervals } = options
  const events = createEvents(functions)
  const settings = { functions, beforeTask, inFlight, retryIntervals, onStatus: events.tell }
  const executions = createExecutions(definition, settings)
  const known = operations(executions, definition)
  const server = createServer((request, response) => {
    answer(request, known)
      .catch(asAnswer)
      .then(({ status, body }) => {
        const text = JSON.stringify(body)
        response.writeHead(status, { 'content-type': 'application/x-amz-json-1.0' }).end(text)
      })
  })
  const port = await listen(server)

  async function stop(): Promise<void> {
    const closed = close(server)
    server.closeAllConnections()
    await events.end() // of what is only stopped here nobody is told
    for (const execution of executions.all()) execution.stop('Stack.Stopped', 'The local stack was stopped.')
    // They may hold connections to a database that is to be stopped next.
    const { promise: patience, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, GRACE_MS)
    await Promise.race([Promise.allSettled(inFlight), patience])
    clearTimeout(timer)
    await closed
  }

  return {
    url: `http://${LOOPBACK}:${port}`,
    taskPayloads: (name) => [...named(executions, name).tasks.payloads.values()],
    taskFailures: (name) => named(executions, name).tasks.failures,
    ended: async (name) => named(executions, name).done,
    told: events.told,
    stop,
  }
}

type Answer = { status: number; body: unknown }

async function answer(request: IncomingMessage, known: Record<string, Operation>): Promise<Answer> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  // A web page cannot send this header to another origin without asking, and nobody here would answer.
  const target = String(request.headers['x-amz-target'] ?? '')
  const operation = target.startsWith(TARGET_PREFIX) ? known[target.slice(TARGET_PREFIX.length)] : undefined
  if (!operation)
    throw new ApiError('UnknownOperationException', `There is no ${target || 'x-amz-target'} here.`)
  return { status: 200, body: operation(parse(Buffer.concat(chunks))) }
}

function parse(body: Buffer): Record<string, unknown> {
  try {
    return JSON.parse(body.toString('utf8') || '{}')
  } catch {
    throw new ApiError('SerializationException', 'The body is no JSON.')
  }
}

function asAnswer(error: Error): Answer {
  const status = error instanceof ApiError ? 400 : 500
  const type = error instanceof ApiError ? error.name : 'InternalServerError'
  return { status, body: { __type: `com.amazonaws.swf.service.v2.model#${type}`, message: error.message } }
}

function named(executions: Executions, name: string): Execution {
  const execution = executions.byName(name)
  if (!execution) throw new Error(`There is no execution "${name}".`)
  return execution
}
