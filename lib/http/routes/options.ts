import { createRoute, OpenAPIHono } from '@hono/zod-openapi'
import { getOptions, quickly } from '../../run/options.ts'
import { Options } from '../answers/options.ts'
import { abridged } from '../answers/size.ts'
import type { Api } from '../api.ts'
import { scoped } from '../auth.ts'
import { options as example } from '../document/examples.ts'
import { refusals } from '../document/refusals.ts'
import { answer, noQuery } from '../document/route.ts'

const route = createRoute({
  operationId: 'getOptions',
  method: 'get',
  path: '/v1/options',
  tags: ['Environment'],
  summary: 'Ask what can be reset, what each strategy clears and preserves, and live counts',
  description:
    'Needs the scope read. Answers within two seconds: what takes longer to count is estimated, and said to be.',
  middleware: scoped('read'),
  request: { query: noQuery },
  responses: {
    200: answer('Also when a store is down, which is told as such', Options, { example }),
    ...refusals(400),
  },
})

export const options = new OpenAPIHono<Api>().openapi(route, async ({ var: { clients }, json }) =>
  json(abridged(await getOptions(clients, undefined, quickly)), 200),
)
