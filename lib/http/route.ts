import * as z from 'zod'
import type { Clients } from '../clients.ts'
import type { Caller } from './auth.ts'
import { Problem } from './problem.ts'

/** What the gateway knows of a request; the app may be asked without one, and then there is none. */
export type Gateway = {
  requestId?: string
  sourceIp?: string | undefined
  /** The method that was asked with, where the platform's requests cannot have it. */
  method?: string
  /** Why what came in is no request. */
  refusal?: Error
}

/** What a route's handler finds in its context. */
export type Api = {
  Bindings: Gateway
  Variables: { requestId: string; clients: Clients; caller: Caller }
}

/** Of a route that knows no query: what somebody sends in one would be ignored, and is refused. */
export const noQuery = z.strictObject({})

/** Headers of answers, as the document's components. */
export const headers = {
  'X-Request-Id': {
    description: "The gateway's id of the request, which the log and each problem have too",
    required: true,
    schema: { type: 'string' },
    example: 'Nf3xJh2PliAEJwg=',
  },
  ETag: {
    description: 'Names what is answered: send it as `If-None-Match`, and the same is not sent again',
    required: true,
    schema: { type: 'string', pattern: '^"[A-Za-z0-9_-]{22}"$' },
    example: '"dBaV4Cw1b0bVYzPrWQ2mHw"',
  },
  Link: {
    description: 'The address of the next page, `rel="next"`; without it this is the last',
    required: false,
    schema: { type: 'string', pattern: '^<.+>; rel="next"$' },
    example: '</v1/runs?limit=50&before=7f9c24e5-1f0a-4b8e-9d63-0c1b1a2d3e4f>; rel="next"',
  },
  Location: {
    description: 'The address of the run',
    required: true,
    schema: { type: 'string', pattern: '^/v1/runs/' },
    example: '/v1/runs/7f9c24e5-1f0a-4b8e-9d63-0c1b1a2d3e4f',
  },
  'Idempotency-Replayed': {
    description:
      'An earlier request with this key had started the run. Of requests at the same moment none may say it',
    required: false,
    schema: { type: 'string', pattern: '^true$' },
    example: 'true',
  },
  'Retry-After': {
    description: 'Seconds after which the same request may be answered otherwise',
    required: true,
    schema: { type: 'string', pattern: '^[1-9][0-9]*$' },
    example: '10',
  },
  'WWW-Authenticate': {
    description: 'How to get in (RFC 6750)',
    required: true,
    schema: { type: 'string', pattern: '^Bearer realm="taskmaster-reset"' },
    example: 'Bearer realm="taskmaster-reset", error="insufficient_scope", scope="reset"',
  },
} as const
type Header = keyof typeof headers

/** References to the components; one that an answer need not have is written out. */
export function withHeaders(...names: Header[]) {
  const all: Header[] = ['X-Request-Id', ...names]
  return Object.fromEntries(all.map((name) => [name, { $ref: `#/components/headers/${name}` }]))
}

/** An answer with a JSON body. */
export function answer<Schema extends z.ZodType>(
  description: string,
  schema: Schema,
  { has = [], example }: { has?: Header[]; example?: z.input<Schema> } = {},
) {
  const content = { schema, ...(example === undefined ? {} : { example }) }
  return { description, headers: withHeaders(...has), content: { 'application/json': content } }
}

/** The answer to who has the latest already, and said so in `If-None-Match`. */
export const unchanged = {
  description: 'It is as the `ETag` in `If-None-Match` says',
  headers: withHeaders('ETag', 'Link'),
}

/** Of a route that is asked again and again. */
export const ifNoneMatch = z.object({
  'if-none-match': z.string().optional().meta({
    description: 'The `ETag` of the answer that the caller has',
    example: '"dBaV4Cw1b0bVYzPrWQ2mHw"',
  }),
})

type Meaning = { description: string; has?: Header[]; title: string; detail: string; more?: object }

const meanings = {
  400: {
    description: 'The body or a parameter is wrong; `issues` says where',
    title: 'InvalidRequest',
    detail:
      'The request is wrong: limit: is not a whole number. Nothing was touched; /v1/openapi.json describes a right one',
    more: { issues: [{ path: 'limit', message: 'is not a whole number' }] },
  },
  401: {
    description: 'No token, an unknown or an expired one',
    has: ['WWW-Authenticate'],
    title: 'Unauthorized',
    detail: 'There is no token: send "Authorization: Bearer <token>". Nothing was touched',
  },
  403: {
    description: 'The token lacks `requiredScope`',
    has: ['WWW-Authenticate'],
    title: 'Forbidden',
    detail:
      'The token "ci" lacks the scope "reset", which this needs. Nothing was touched; use a token that has it',
    more: { requiredScope: 'reset' },
  },
  404: {
    description: 'There is no such thing',
    title: 'NotFound',
    detail: 'There is no run 7f9c. List the runs to see their ids',
  },
  409: {
    description: 'Something else is under way, or it is too late. `Retry-After` only where waiting helps',
    title: 'RunActive',
    detail:
      'Run 7f9c24e5-1f0a-4b8e-9d63-0c1b1a2d3e4f (reset, in Wipe files) is active since 2026-11-22T19:05:33.000Z. Wait for it: it cannot be cancelled any more',
    more: { activeRunId: '7f9c24e5-1f0a-4b8e-9d63-0c1b1a2d3e4f' },
  },
  413: {
    description: 'The body has more than 64 KiB',
    title: 'BodyTooLarge',
    detail: 'The body has 65537 bytes, more than the 65536 that are read. Nothing was touched; send less',
  },
  415: {
    description: 'The body is not sent as JSON',
    title: 'UnsupportedMediaType',
    detail: 'The body is not sent as JSON. Nothing was touched; say "Content-Type: application/json"',
  },
  422: {
    description: 'A rule refused it; nothing was touched',
    title: 'ConfirmationMismatch',
    detail: 'confirm is "production", but this is the environment "staging". Nothing was touched',
  },
  429: {
    description: 'The token, or the address without one, asks too often',
    has: ['Retry-After'],
    title: 'TooManyRequests',
    detail: 'The token "ci" asks more often than 20 times a second. Nothing was touched; try again in 1 s',
  },
  500: {
    description: 'Something failed that the caller cannot correct',
    title: 'UnexpectedError',
    detail: 'The API failed in a way that nobody foresaw. Look for the request Nf3xJh2PliAEJwg= in its log',
  },
  503: {
    description: 'A store cannot be reached, or is busy',
    has: ['Retry-After'],
    title: 'StoreUnavailable',
    detail:
      'The database taskmaster at ep-cool-1.neon.tech cannot be reached. Check DATABASE_URL and that the server runs',
  },
} as const satisfies Record<number, Meaning>
type Refusal = keyof typeof meanings

/** The refusals that every route with a token has, and those of this one, by status. */
export function refusals(...own: Refusal[]) {
  return refusalsOf(401, 403, ...own, 429, 500, 503)
}

/** Those of a route that needs no token. */
export function refusalsOf(...statuses: Refusal[]) {
  return Object.fromEntries(
    statuses.toSorted((one, other) => one - other).map((status) => [status, refusalOf(status)]),
  )
}

function refusalOf(status: Refusal) {
  const { description, has = [], title, detail, more }: Meaning = meanings[status]
  const example = {
    type: `/problems/${title}`,
    title,
    status: Number(status),
    detail,
    instance: '/v1/runs',
    requestId: headers['X-Request-Id'].example,
    ...more,
  }
  const sometimes = status === 409 ? { 'Retry-After': { ...headers['Retry-After'], required: false } } : {}
  return {
    description,
    headers: { ...withHeaders(...has), ...sometimes },
    content: { 'application/problem+json': { schema: Problem, example } },
  }
}
