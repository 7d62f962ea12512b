import { createRoute, OpenAPIHono } from '@hono/zod-openapi'
import { readToldRows } from '../../run/on-backup/diff-rows.ts'
import { ToldRows } from '../answers/told-rows.ts'
import type { Api } from '../api.ts'
import { scoped } from '../auth.ts'
import { toldRows } from '../document/examples.ts'
import { refusals } from '../document/refusals.ts'
import { answer, noQuery } from '../document/route.ts'
import { runParams } from './runs.ts'

const route = createRoute({
  operationId: 'getRunRows',
  method: 'get',
  path: '/v1/runs/{runId}/rows',
  tags: ['Runs'],
  summary: 'Get the first rows that a diff found to differ',
  description:
    'Needs the scope restore. Of a diff that was asked for them with `rows`, and has ended; they are deleted some days after it.',
  middleware: scoped('restore'),
  request: { params: runParams, query: noQuery },
  responses: {
    200: answer('The rows, and how many differ in all', ToldRows, { example: toldRows }),
    ...refusals(400, 404),
  },
})

export const runRows = new OpenAPIHono<Api>().openapi(route, async ({ var: { clients }, req, json }) =>
  json(await readToldRows(clients, req.valid('param').runId), 200),
)
