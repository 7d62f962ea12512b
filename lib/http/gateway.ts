import { randomUUID } from 'node:crypto'
import * as z from 'zod'
import { InvalidRequest, messageOf } from '../errors.ts'
import type { Gateway } from './api.ts'
import { problemResponse } from './problem.ts'
import { withSecurityHeaders } from './request/headers.ts'

/** What is read of an event of payload format 2.0. Cookies are not: nothing here is let in by one. */
const Event = z.object({
  rawPath: z.string().regex(/^\//, 'does not begin with "/"'),
  rawQueryString: z.string().optional(),
  headers: z.record(z.string(), z.string()).nullish(),
  body: z.string().nullish(),
  isBase64Encoded: z.boolean().optional(),
  requestContext: z.object({
    http: z.object({
      method: z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$/, 'is none'),
      sourceIp: z.string().optional(),
    }),
  }),
})

/** An id that can stand in a header and in the log; an event without one, or with another, is given its own. */
const Identified = z.object({
  requestContext: z.object({ requestId: z.string().regex(/^[\x21-\x7e]{1,128}$/) }),
})

type GatewayAnswer = { statusCode: number; headers: Record<string, string>; body: string }

type App = { fetch: (request: Request, env: Gateway) => Response | Promise<Response> }

/**
 * The app as a function behind API Gateway's HTTP API. Whatever the event is, the answer is one of the app: what cannot
 * become a request is refused by it as well, with the headers and the log line that every answer has.
 * @see docs/decisions.md#the-api-speaks-to-the-gateway-itself
 */
export function behindGateway(app: App): (event: unknown) => Promise<GatewayAnswer> {
  return async (event) => {
    const requestId = Identified.safeParse(event).data?.requestContext.requestId ?? randomUUID()
    const { request, env } = requestOf(event)
    let response: Response
    try {
      response = await app.fetch(request, { ...env, requestId })
    } catch (error) {
      // The app answers what its routes throw; this is for what is thrown where no answer is made any more.
      response = problemResponse(error, { instance: new URL(request.url).pathname, requestId })
      withSecurityHeaders(response)
    }
    return bounded(await answerOf(response), requestId)
  }
}

/** The platform's requests can have neither of these methods. */
const unsendable = ['CONNECT', 'TRACE', 'TRACK']

function requestOf(event: unknown): { request: Request; env: Omit<Gateway, 'requestId'> } {
  const parsed = Event.safeParse(event)
  if (!parsed.success) {
    const problems = parsed.error.issues.map(
      ({ path, message }) => `${path.join('.') || 'event'}: ${message}`,
    )
    return refused(`it is no request of an HTTP API (${problems.join('; ')})`)
  }
  const { rawPath, rawQueryString = '', headers, body, isBase64Encoded, requestContext } = parsed.data
  const { method, sourceIp } = requestContext.http
  // Never the host that was asked for, which is the caller's to choose. A gateway that decodes may leave a "?" in the path.
  const path = rawPath.replace(/[?#]/g, encodeURIComponent)
  const query = rawQueryString.replaceAll('#', '%23') // what follows would not be looked at
  const url = `https://localhost${path}${query === '' ? '' : `?${query}`}`
  if (body && (method === 'GET' || method === 'HEAD')) {
    return refused(`${method} takes no body`, { url, method, sourceIp })
  }
  if (unsendable.includes(method)) return { request: new Request(url), env: { method, sourceIp } }
  try {
    const request = new Request(url, {
      method,
      headers: Object.entries(headers ?? {}),
      ...(body ? { body: Buffer.from(body, isBase64Encoded ? 'base64' : 'utf8') } : {}),
    })
    return { request, env: { sourceIp } }
  } catch (cause) {
    return refused(messageOf(cause), { url, sourceIp })
  }
}

function refused(
  reason: string,
  {
    url = 'https://localhost/',
    ...env
  }: { url?: string; method?: string; sourceIp?: string | undefined } = {},
): ReturnType<typeof requestOf> {
  const refusal = new InvalidRequest(
    `The request cannot be read: ${reason}. Nothing was touched; /v1/openapi.json describes a right one`,
  )
  return {
    request: new Request(url, { method: env.method === 'HEAD' ? 'HEAD' : 'GET' }),
    env: { ...env, refusal },
  }
}

async function answerOf(response: Response): Promise<GatewayAnswer> {
  return {
    statusCode: response.status,
    headers: Object.fromEntries(response.headers),
    body: await response.text(),
  }
}

/** Bytes of an answer, as JSON, that Lambda takes: with more, the caller would learn nothing but "Internal Server Error". */
const maxBytes = 6 * 1024 * 1024 - 1024

/** The routes keep their answers far below this; what does not is told as what it is. */
async function bounded(answer: GatewayAnswer, requestId: string): Promise<GatewayAnswer> {
  if (answer.body.length < maxBytes / 6 || Buffer.byteLength(JSON.stringify(answer)) <= maxBytes)
    return answer
  const error = new RangeError(`An answer of ${answer.body.length} characters is more than Lambda takes`)
  const response = problemResponse(error, { instance: '/', requestId })
  withSecurityHeaders(response)
  return answerOf(response)
}
