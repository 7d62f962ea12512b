import { randomUUID } from 'node:crypto'
import type { Json } from './definition.ts'
import { dataLimitExceeded, MAX_PAYLOAD_BYTES, stateError } from './state-errors.ts'

/** The part of Lambda's context object that a function gets here. */
export type LambdaContext = {
  functionName: string
  awsRequestId: string
  getRemainingTimeInMillis(): number
}

export type Handler = (event: unknown, context: LambdaContext) => unknown

export type TaskPayload = { state: string; invocations: number; inputBytes: number; outputBytes: number }

export type TaskFailure = { state: string; error: string; cause: string }

export type Tasks = {
  /** The largest input and output of each state, in bytes of UTF-8. */
  payloads: Map<string, TaskPayload>
  failures: TaskFailure[]
  invoke(call: TaskCall): Promise<Json>
}

type TaskCall = { state: string; functionName: string; input: Json; timeoutSeconds: number }

export type TaskSettings = {
  functions: Record<string, Handler>
  /** Called before each invocation; what it throws is thrown in the function's place. */
  beforeTask?: ((stateName: string, input: unknown) => void | Promise<void>) | undefined
  /** Invocations that have not ended yet, those of stopped executions too. */
  inFlight: Set<Promise<unknown>>
}

/** No Lambda function runs longer. */
const LAMBDA_MAX_SECONDS = 900
const FAILURES_KEPT = 1_000

/** Calls functions as Lambda does: JSON in and out, the size limit of Step Functions, errors as Lambda reports them. */
export function createTasks(settings: TaskSettings): Tasks {
  const payloads = new Map<string, TaskPayload>()
  const failures: TaskFailure[] = []

  async function invoke(call: TaskCall): Promise<Json> {
    const payload = payloads.get(call.state) ?? {
      state: call.state,
      invocations: 0,
      inputBytes: 0,
      outputBytes: 0,
    }
    payloads.set(call.state, payload)
    const sent = JSON.stringify(call.input)
    payload.invocations += 1
    payload.inputBytes = Math.max(payload.inputBytes, Buffer.byteLength(sent))
    try {
      if (Buffer.byteLength(sent) > MAX_PAYLOAD_BYTES) throw dataLimitExceeded(call.state)
      const answered = await answerOf(call, sent, settings)
      payload.outputBytes = Math.max(payload.outputBytes, Buffer.byteLength(answered))
      if (Buffer.byteLength(answered) > MAX_PAYLOAD_BYTES) throw dataLimitExceeded(call.state)
      return JSON.parse(answered) as Json
    } catch (error) {
      const { name, message } = error as Error
      if (failures.push({ state: call.state, error: name, cause: message }) > FAILURES_KEPT) failures.shift()
      throw error
    }
  }

  return { payloads, failures, invoke }
}

async function answerOf(call: TaskCall, sent: string, settings: TaskSettings): Promise<string> {
  const handler = settings.functions[call.functionName]
  if (!handler)
    throw stateError('Lambda.ResourceNotFoundException', `Function not found: ${call.functionName}`)
  const deadline = Date.now() + Math.min(call.timeoutSeconds, LAMBDA_MAX_SECONDS) * 1_000
  const context = {
    functionName: call.functionName,
    awsRequestId: randomUUID(),
    getRemainingTimeInMillis: () => Math.max(0, deadline - Date.now()),
  }
  const work = (async () => {
    await settings.beforeTask?.(call.state, JSON.parse(sent))
    return JSON.stringify(await handler(JSON.parse(sent), context)) ?? 'null'
  })()
  settings.inFlight.add(work)
  try {
    return await work
  } catch (error) {
    throw asLambdaReports(error)
  } finally {
    settings.inFlight.delete(work)
  }
}

/** Lambda adds the stack as `trace`; it is left empty here, since nothing on AWS would show these paths either. */
function asLambdaReports(thrown: unknown): Error {
  const errorType = thrown instanceof Error ? thrown.name : typeof thrown
  const errorMessage = thrown instanceof Error ? thrown.message : String(thrown)
  return stateError(errorType, JSON.stringify({ errorType, errorMessage, trace: [] }))
}
