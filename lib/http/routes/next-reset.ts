import { createRoute, OpenAPIHono } from '@hono/zod-openapi'
import * as z from 'zod'
import type { Clients } from '../../clients.ts'
import { nextReset } from '../../run/schedule/told.ts'
import type { Api } from '../api.ts'
import { withholdFromStrangers } from '../auth.ts'
import { refusalsOf } from '../document/refusals.ts'
import { answer } from '../document/route.ts'
import { NoSuchRoute } from '../errors.ts'

const NextReset = z
  .strictObject({
    at: z.iso.datetime().nullable().meta({ description: 'null: none is scheduled, or it is not known when' }),
  })
  .openapi('NextReset')

const route = createRoute({
  operationId: 'getNextReset',
  method: 'get',
  path: '/v1/next-reset',
  tags: ['Environment'],
  summary: 'Ask when the next scheduled reset begins',
  description:
    'Needs no token, and is there only where PUBLIC_NEXT_RESET is true: for a banner of the application, whose pages may ask it from another origin.',
  security: [],
  responses: {
    200: answer('When it begins', NextReset, {
      has: ['Access-Control-Allow-Origin'],
      example: { at: '2026-11-27T02:00:00.000Z' },
    }),
    ...refusalsOf(404, 429, 500, 503),
  },
})

/** Asks no store. @see docs/decisions.md#when-the-next-reset-is-may-be-told-to-everybody */
export function nextResetRoute(clients: () => Promise<Clients>): OpenAPIHono<Api> {
  return new OpenAPIHono<Api>().openapi(route, async ({ json, req }) => {
    const told = await clients()
      .then(({ config, now }) => (config.PUBLIC_NEXT_RESET ? { at: nextReset(config, now()) } : null))
      .catch(withholdFromStrangers)
    if (told === null) {
      throw new NoSuchRoute(
        `There is no ${req.path}: it is told to nobody without a token. With one, /v1/schedules has it`,
      )
    }
    return json(told, 200, {
      'access-control-allow-origin': '*',
      'cache-control': 'public, max-age=60',
    })
  })
}
