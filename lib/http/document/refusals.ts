import { Problem } from '../problem.ts'
import { type Header, headers, withHeaders } from './headers.ts'

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
type RefusalStatus = keyof typeof meanings

/** The refusals that every route with a token has, and those of this one, by status. */
export function refusals(...own: RefusalStatus[]) {
  return refusalsOf(401, 403, ...own, 429, 500, 503)
}

/** Those of a route that needs no token. */
export function refusalsOf(...statuses: RefusalStatus[]) {
  return Object.fromEntries(
    statuses.toSorted((one, other) => one - other).map((status) => [status, refusalOf(status)]),
  )
}

function refusalOf(status: RefusalStatus) {
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
