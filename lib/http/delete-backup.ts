import { createRoute, OpenAPIHono, z } from '@hono/zod-openapi'
import { scoped } from './auth.ts'
import { backupParams } from './backups.ts'
import { started } from './examples.ts'
import { type Api, answer, refusals } from './route.ts'
import { accepted, idempotencyHeaders, Started } from './runs.ts'
import { startRun } from './start-run.ts'

const Confirm = z.strictObject({
  confirm: z.string().max(256).optional().meta({ description: "The environment's name", example: 'staging' }),
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
    const wanted = {
      operation: 'delete',
      backupId: req.valid('param').backupId,
      confirm: req.valid('query').confirm ?? req.valid('json').confirm,
    }
    const key = req.valid('header')['idempotency-key']
    return json(...accepted(await startRun(clients, { wanted, caller, key })))
  },
)
