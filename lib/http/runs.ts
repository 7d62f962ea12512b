import { createRoute, OpenAPIHono, z } from '@hono/zod-openapi'
import type { Scope } from '../config.ts'
import { withConnection } from '../database/snapshot.ts'
import { InvalidRequest } from '../errors.ts'
import { cancelRun } from '../run/cancel.ts'
import { findRun, listRuns, readRun as readRow } from '../run/ledger.ts'
import { Request } from '../run/request.ts'
import { requireOneOf, requireScope, scoped, scopeOfOperation } from './auth.ts'
import { refusing } from './errors.ts'
import { readRun } from './read-run.ts'
import { type Api, answer, limitUpTo, noQuery, refusals } from './route.ts'
import { Run } from './run.ts'
import { runOfRow } from './run-of-row.ts'
import { type StartedRun, startRun } from './start-run.ts'

const own = { idempotencyKey: true, requestedBy: true, scheduledTime: true } as const
const [backup, reset, restore, verify, remove, claim] = Request.options

/** A request as every way in takes it, without what the API says itself. */
const RunRequest = z
  .discriminatedUnion('operation', [
    backup.omit(own),
    reset.omit(own),
    restore.omit(own),
    verify.omit(own),
    remove.omit(own),
    claim.omit(own),
  ])
  .openapi('RunRequest')

export const Started = z
  .strictObject({ runId: z.string(), address: z.string().meta({ example: '/v1/runs/7f9c…' }) })
  .openapi('Started')

/** What a start is answered with. */
export function accepted({ runId, replayed }: StartedRun) {
  const address = `/v1/runs/${runId}`
  const headers = { location: address, ...(replayed && { 'idempotency-replayed': 'true' }) }
  return [{ runId, address }, 202, headers] as const
}

/** Also names that a person gave to an execution in the AWS console. */
const RunId = z.string().regex(/^[A-Za-z0-9._+!@()='-]{1,80}$/, 'is not the id of a run')
const params = z.object({ runId: RunId })

export const idempotencyHeaders = z.object({
  'idempotency-key': z
    .string()
    .regex(/^[\x21-\x7e]{1,128}$/, 'may hold 1 to 128 visible ASCII characters')
    .optional()
    .meta({ description: "The same key again gives the first run. A key is the token's own" }),
})

const post = createRoute({
  operationId: 'startRun',
  method: 'post',
  path: '/v1/runs',
  summary: 'Starts a run. The scope it needs is that of its operation; claim needs reset, verify needs read',
  request: {
    headers: idempotencyHeaders,
    query: noQuery,
    body: { required: true, content: { 'application/json': { schema: RunRequest } } },
  },
  responses: {
    202: {
      ...answer('Accepted; or, with a key that was used before, the first run', Started),
      headers: z.object({ location: z.string() }),
    },
    ...refusals(400, 409, 413, 415, 422),
  },
})

const list = createRoute({
  operationId: 'listRuns',
  method: 'get',
  path: '/v1/runs',
  summary: 'The runs, newest first',
  middleware: scoped('read'),
  request: {
    query: z.strictObject({
      limit: limitUpTo(200, 50),
      before: RunId.optional().meta({ description: '`next` of the page before' }),
    }),
  },
  responses: {
    200: answer('A page', z.strictObject({ runs: z.array(Run), next: z.string().nullable() })),
    ...refusals(400, 422),
  },
})

const get = createRoute({
  operationId: 'getRun',
  method: 'get',
  path: '/v1/runs/{runId}',
  summary: 'One run, as far as it is',
  middleware: scoped('read'),
  request: { params, query: noQuery },
  responses: { 200: answer('The run', Run), ...refusals(400, 404) },
})

/** Which of these it takes stands in the ledger, which who has none of them does not get to ask. */
const cancelScopes = [...new Set(Object.values(scopeOfOperation))] as [Scope, ...Scope[]]

const cancel = createRoute({
  operationId: 'cancelRun',
  method: 'post',
  path: '/v1/runs/{runId}/cancel',
  summary: 'Calls a run off, until it wipes or restores. Needs the scope that starting it needs',
  request: { params, query: noQuery },
  responses: { 200: answer('The run, cancelled', Run), ...refusals(400, 404, 409, 413) },
})

export const runs = new OpenAPIHono<Api>()
  .openapi(post, async (context) => {
    const { clients, caller } = context.var
    const wanted = context.req.valid('json')
    requireScope(caller, scopeOfOperation[wanted.operation])
    const key = context.req.valid('header')['idempotency-key']
    const started = await refusing(startRun(clients, { wanted, caller, key }))
    return context.json(...accepted(started))
  })
  .openapi(list, async (context) => {
    const { limit, before } = context.req.valid('query')
    const rows = await withConnection(context.var.clients, async (connection) => {
      if (before !== undefined && (await findRun(connection, before)) === undefined) {
        throw new InvalidRequest(
          `before: there is no run ${before}. Take it from \`next\` of the page before, or leave it out to begin with the newest`,
        )
      }
      return listRuns(connection, limit + 1, before)
    })
    const page = rows.slice(0, limit)
    const next = rows.length > limit ? (page.at(-1)?.runId ?? null) : null
    return context.json({ runs: page.map(runOfRow), next }, 200)
  })
  .openapi(get, async (context) =>
    context.json(await readRun(context.var.clients, context.req.valid('param').runId), 200),
  )
  .openapi(cancel, async (context) => {
    const { clients, caller } = context.var
    const { runId } = context.req.valid('param')
    requireOneOf(caller, cancelScopes)
    const row = await withConnection(clients, (connection) => readRow(connection, runId))
    requireScope(caller, scopeOfOperation[row.operation as Request['operation']])
    return context.json(runOfRow(await cancelRun(clients, { runId, by: `api:${caller.name}` })), 200)
  })
