import { z } from '@hono/zod-openapi'
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

/** How many entries a page has at most. */
export const limitUpTo = (most: number, otherwise: number) =>
  z
    .string()
    .regex(/^\d{1,4}$/, 'is not a whole number')
    .transform(Number)
    .pipe(z.int().min(1).max(most))
    .default(otherwise)
    .meta({ type: 'integer', minimum: 1, maximum: most, description: 'Entries of a page at most' })

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
