import { createRoute, OpenAPIHono } from '@hono/zod-openapi'
import * as z from 'zod'
import { InvalidRequest } from '../../errors.ts'
import { text } from '../../run/request/fields.ts'
import { accepted, Started } from '../answers/start.ts'
import type { Api } from '../api.ts'
import { scoped } from '../auth.ts'
import { started } from '../document/examples.ts'
import { refusals } from '../document/refusals.ts'
import { answer } from '../document/route.ts'
import { backupParams } from '../request/backup-name.ts'
import { startFor } from '../start.ts'
import { idempotencyHeaders } from './runs.ts'

const Confirm = z.strictObject({
  confirm: text.optional().meta({ description: "The environment's name", example: 'staging' }),
})

const route = createRoute({
  operationId: 'deleteBackup',
  method: 'delete',
  path: '/v1/backups/{backupId}',
  tags: ['Backups'],
  summary: 'Delete a backup',
  description:
    "Starts a run that does it. Needs the scope delete, and the environment's name in the query or the body.",
  middleware: scoped('delete'),
  request: {
    params: backupParams,
    query: Confirm,
    headers: idempotencyHeaders,
    body: {
      required: false,
      content: { 'application/json': { schema: Confirm, example: { confirm: 'staging' } } },
    },
  },
  responses: {
    202: answer('Accepted', Started, { has: ['Location', 'Idempotency-Replayed'], example: started }),
    ...refusals(400, 404, 409, 413, 415, 422),
  },
})

export const deleteBackup = new OpenAPIHono<Api>().openapi(
  route,
  async ({ var: { clients, caller }, req, json }) => {
    const confirm = confirmedIn(req.valid('query').confirm, req.valid('json').confirm)
    const wanted = { operation: 'delete', backupId: req.valid('param').backupId, confirm }
    const key = req.valid('header')['idempotency-key']
    return json(...accepted(await startFor(clients, { wanted, caller, key })))
  },
)

/** @throws InvalidRequest when the two are not the same: one of them is a mistake */
function confirmedIn(query: string | undefined, body: string | undefined): string | undefined {
  if (query === undefined || body === undefined || query === body) return query ?? body
  throw new InvalidRequest(
    `confirm is ${JSON.stringify(query)} in the query, ${JSON.stringify(body)} in the body. Nothing was touched; say it once`,
  )
}
