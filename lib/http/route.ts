import type { z } from '@hono/zod-openapi'
import type { Clients } from '../clients.ts'
import type { Caller } from './auth.ts'
import { Problem } from './problem.ts'

/** What a route's handler finds in its context. */
export type Api = { Variables: { clients: Clients; caller: Caller } }

/** An answer with a JSON body. */
export function answer<Schema extends z.ZodType>(description: string, schema: Schema) {
  return { description, content: { 'application/json': { schema } } }
}

const meanings = {
  400: 'The body or a parameter is wrong; `issues` says where',
  401: 'No token, or an unknown one',
  403: 'The token lacks `requiredScope`',
  404: 'There is no such thing',
  409: 'Something else is under way, or it is too late',
  413: 'The body has more than 64 KiB',
  415: 'The body is not sent as JSON',
  422: 'A rule refused it; nothing was touched',
  500: 'Something failed that the caller cannot correct',
  503: 'A store cannot be reached',
}
type Refusal = keyof typeof meanings

/** The refusals that every route with a token has, and those of this one. */
export function refusals(...own: Refusal[]) {
  const statuses: Refusal[] = [401, 403, ...own, 500, 503]
  return Object.fromEntries(
    statuses.map((status) => [
      status,
      { description: meanings[status], content: { 'application/problem+json': { schema: Problem } } },
    ]),
  )
}
