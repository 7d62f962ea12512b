import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2 } from 'aws-lambda'
import { afterEach, expect } from 'vitest'
import type { HttpHandler } from '../../local/http-front.ts'
import { type Document, operationOf, undocumented } from './documented.ts'

export type Recorder = {
  /** The function with the recorder before it. */
  handler: HttpHandler
  document: () => Promise<Document>
  /** `<operation> <status>` of every answer so far. */
  seen: Set<string>
}

/**
 * Compares every answer of the API that the tests of a file provoke, by whatever way, with the API's own document; the
 * test in which one differs fails.
 */
export function useRecorder() {
  const different: string[] = []
  afterEach(() => expect(different.splice(0), 'answers that the document does not promise').toEqual([]))

  return (handler: HttpHandler, seen = new Set<string>()): Recorder => {
    let document: Promise<Document> | undefined
    const read = () => {
      document ??= handler(eventOf('GET', '/v1/openapi.json')).then(({ body = '' }) => JSON.parse(body))
      return document
    }
    const types = new Map<string, number>()
    async function leadingNowhere(body: { type?: string; status?: number }): Promise<string[]> {
      const { type, status } = typeof body === 'object' && body !== null ? body : {}
      if (type === undefined || status === undefined) return []
      if (!types.has(type)) types.set(type, (await handler(eventOf('GET', type))).statusCode ?? 0)
      return types.get(type) === 200 ? [] : [`the type ${type} of a problem is answered ${types.get(type)}`]
    }
    async function record(event: APIGatewayProxyEventV2): Promise<APIGatewayProxyStructuredResultV2> {
      const answer = await handler(event)
      const { method = '', path = '' } = askedBy(event)
      const { statusCode: status = 0, body = '' } = answer
      const headers = new Headers(answer.headers as Record<string, string>)
      const isJson = /json$/.test(headers.get('content-type') ?? '') && body !== ''
      const told = { method, path, status, headers, body: isJson ? JSON.parse(body) : body }
      different.push(...undocumented(await read(), told))
      // What stands in the way of the runbook itself leads there in vain.
      if (!path.startsWith('/problems/')) different.push(...(await leadingNowhere(told.body)))
      seen.add(`${operationOf(await read(), method, path)?.operationId} ${status}`)
      return answer
    }
    return { handler: record, document: read, seen }
  }
}

/** Also of what is no event at all. */
function askedBy(event: APIGatewayProxyEventV2 | null): { method?: string; path?: string } {
  return {
    method: event?.requestContext?.http?.method ?? '',
    path: event?.rawPath ?? '',
  }
}

export function eventOf(method: string, rawPath: string, more: object = {}): APIGatewayProxyEventV2 {
  const event = {
    version: '2.0',
    rawPath,
    rawQueryString: '',
    headers: {},
    isBase64Encoded: false,
    requestContext: { requestId: 'of-a-test', http: { method, sourceIp: '127.0.0.1' } },
    ...more,
  }
  return event as unknown as APIGatewayProxyEventV2
}
