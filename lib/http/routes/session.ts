import { createRoute, OpenAPIHono } from '@hono/zod-openapi'
import { placesOf } from '../../config/places.ts'
import { toolVersion } from '../../version.ts'
import { Session } from '../answers/session.ts'
import type { Api } from '../api.ts'
import { refusalsOf } from '../document/refusals.ts'
import { answer, noQuery } from '../document/route.ts'

const example = {
  name: 'ci',
  scopes: ['read', 'backup'],
  expiresAt: '2027-11-22T00:00:00Z',
  environment: 'staging',
  protected: false,
  where: {
    database: 'ep-cool-1.eu-central-1.aws.neon.tech/taskmaster',
    cache: 'eu1-cool-1.upstash.io',
    files: 's3://taskmaster-files/generated_stories/',
    backups: 's3://taskmaster-backups/.taskmaster/backups/',
  },
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
  const { ENVIRONMENT: environment, PROTECTED: isProtected } = clients.config
  const { name, scopes, expiresAt = null } = caller
  const where = placesOf(clients.config)
  return json(
    { name, scopes, expiresAt, environment, protected: isProtected, where, version: toolVersion },
    200,
  )
})
