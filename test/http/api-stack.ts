import { createHash } from 'node:crypto'
import { ListExecutionsCommand, SFNClient } from '@aws-sdk/client-sfn'
import type { APIGatewayProxyEventV2 } from 'aws-lambda'
import { afterAll, beforeAll } from 'vitest'
import { type Scope, scopes } from '../../lib/config/values.ts'
import { type HttpHandler, startHttpFront } from '../../local/http-front.ts'
import type { StackOptions } from '../../local/stack.ts'
import { useResetStack } from '../e2e/reset-stack.ts'
import type { Answer, Document } from './documented.ts'
import { type Recorder, useRecorder } from './recorder.ts'

/** One token with every scope, one with none, and one for each scope; the token is `token-of-<name>`. */
const callers: Record<string, readonly Scope[]> = {
  all: scopes,
  none: [],
  ...Object.fromEntries(scopes.map((scope) => [scope, [scope]])),
}
export const tokenOf = (name: string) => `token-of-${name}`

export type Asked = {
  /** The name of a token; null sends none. Default: the one with every scope. */
  as?: string | null
  body?: unknown
  headers?: Record<string, string>
}

/** A stack with the API before it, over the wire and as API Gateway hands it over. */
export function useApi(options: StackOptions = {}) {
  process.env.API_TOKENS = JSON.stringify(
    Object.entries(callers).map(([name, granted]) => ({
      name,
      sha256: createHash('sha256').update(tokenOf(name)).digest('hex'),
      scopes: granted,
    })),
  )
  const reset = useResetStack(options)
  let front: Awaited<ReturnType<typeof startHttpFront>>
  let document: Document
  let recorder: Recorder
  const record = useRecorder()

  beforeAll(async () => {
    const { handler } = await import('../../functions/api.ts')
    recorder = record(handler as HttpHandler)
    front = await startHttpFront(recorder.handler)
    document = await recorder.document()
  })
  afterAll(() => front?.stop())

  /** Asks the API; every answer must be one that the document promises. */
  async function ask(
    method: string,
    path: string,
    { as = 'all', body, headers = {} }: Asked = {},
  ): Promise<Answer> {
    const isText = typeof body === 'string'
    const answer = await fetch(`${front.url}${path}`, {
      method,
      headers: {
        ...(as !== null && { authorization: `Bearer ${tokenOf(as)}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: isText ? body : JSON.stringify(body) }),
    })
    const text = await answer.text()
    const contentType = answer.headers.get('content-type')?.split(';')[0] ?? ''
    return {
      method,
      path: path.replace(/\?.*/, ''),
      status: answer.status,
      headers: answer.headers,
      body: contentType.endsWith('json') && text !== '' ? JSON.parse(text) : text,
    }
  }

  /** Starts a run and follows it to its end, as a caller does. */
  async function follow(body: object, asked: Asked = {}) {
    const started = await ask('POST', '/v1/runs', { ...asked, body })
    if (started.status !== 202) throw new Error(`${started.status}: ${JSON.stringify(started.body)}`)
    return ended(started.body.runId)
  }

  async function ended(runId: string) {
    await reset.machine.ended(runId)
    const { body: run } = await ask('GET', `/v1/runs/${runId}`)
    return run
  }

  /** The ids of all executions that were ever started. */
  async function executions(): Promise<string[]> {
    const { STATE_MACHINE_ARN: stateMachineArn = '', AWS_ENDPOINT_URL_SFN: endpoint = '' } = reset.stack.env
    const credentials = { accessKeyId: 'test', secretAccessKey: 'test' }
    const client = new SFNClient({ endpoint, region: 'us-east-1', credentials })
    const command = new ListExecutionsCommand({ stateMachineArn, maxResults: 1000 })
    const { executions = [] } = await client.send(command)
    client.destroy()
    return executions.map(({ name = '' }) => name)
  }

  return {
    reset,
    ask,
    executions,
    follow,
    ended,
    /** Hands the function an event of any shape, past the front. */
    invoke: (event: unknown) => recorder.handler(event as APIGatewayProxyEventV2),
    get recorder() {
      return recorder
    },
    get document() {
      return document
    },
    get url() {
      return front.url
    },
  }
}
