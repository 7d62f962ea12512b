import { createRoute, OpenAPIHono } from '@hono/zod-openapi'
import * as z from 'zod'
import { readTokenUses } from '../../ledger/token-uses.ts'
import { withConnection } from '../../postgres/with-connection.ts'
import type { Api } from '../api.ts'
import { scoped } from '../auth.ts'
import { refusals } from '../document/refusals.ts'
import { answer, noQuery } from '../document/route.ts'

export const TokenInfo = z
  .strictObject({
    name: z.string().meta({ example: 'ci' }),
    scopes: z.array(z.string()),
    expiresAt: z.string().nullable().meta({ description: 'null: never' }),
    lastUsedAt: z.iso
      .datetime()
      .nullable()
      .meta({ description: 'To the minute; null: not since that is noted. What was refused does not count' }),
  })
  .openapi('TokenInfo')

const example = {
  tokens: [{ name: 'ci', scopes: ['read'], expiresAt: null, lastUsedAt: '2026-11-22T19:05:33.000Z' }],
}

const route = createRoute({
  operationId: 'listTokens',
  method: 'get',
  path: '/v1/tokens',
  tags: ['Environment'],
  summary: 'List who may use this API, until when, and when they last did',
  description: 'Needs the scope read. Tokens themselves are kept nowhere.',
  middleware: scoped('read'),
  request: { query: noQuery },
  responses: {
    200: answer('The entries of API_TOKENS', z.strictObject({ tokens: z.array(TokenInfo) }), { example }),
    ...refusals(400),
  },
})

export const tokens = new OpenAPIHono<Api>().openapi(route, async ({ var: { clients }, json }) => {
  const listed = await clients.tokens()
  const uses = await withConnection(clients, readTokenUses)
  const told = listed.map(({ name, scopes, expiresAt = null }) => {
    const lastUsedAt = uses.get(name)?.toISOString() ?? null
    return { name, scopes, expiresAt, lastUsedAt }
  })
  return json({ tokens: told }, 200)
})
