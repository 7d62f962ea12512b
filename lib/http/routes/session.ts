import { createRoute, OpenAPIHono } from '@hono/zod-openapi'
import * as z from 'zod'
import { toolVersion } from '../../version.ts'
import { type Api, answer, noQuery, refusalsOf } from '../route.ts'

export const Session = z
  .strictObject({
    name: z.string().meta({ description: "The token's", example: 'ci' }),
    scopes: z.array(z.string()),
    expiresAt: z
      .string()
      .nullable()
      .meta({ description: 'From when on the token is good for nothing; null: never' }),
    environment: z.string().meta({ description: 'What `confirm` has to say', example: 'staging' }),
    protected: z.boolean().meta({ description: 'The configuration forbids every wipe here' }),
    version: z.string(),
  })
  .openapi('Session')
export type Session = z.output<typeof Session>

const example = {
  name: 'ci',
  scopes: ['read', 'backup'],
  expiresAt: '2027-11-22T00:00:00Z',
  environment: 'staging',
  protected: false,
  version: toolVersion,
}

const getSession = createRoute({
  operationId: 'getSession',
  method: 'get',
  path: '/v1/session',
  tags: ['Environment'],
  summary: 'Ask what the token may do, and where',
  description: 'Needs no scope, and asks no store.',
  request: { query: noQuery },
  responses: {
    200: answer('The token and its environment', Session, { example }),
    ...refusalsOf(400, 401, 429, 500, 503),
  },
})

/** Asks no store, so that signing in works when all are down. */
export const session = new OpenAPIHono<Api>().openapi(getSession, ({ var: { caller, clients }, json }) => {
  const { ENVIRONMENT, PROTECTED } = clients.config
  const { name, scopes, expiresAt = null } = caller
  return json(
    { name, scopes, expiresAt, environment: ENVIRONMENT, protected: PROTECTED, version: toolVersion },
    200,
  )
})
