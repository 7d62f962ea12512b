import { createRoute, OpenAPIHono } from '@hono/zod-openapi'
import * as z from 'zod'
import { enumeration } from '../../amounts.ts'
import { isLabelLike } from '../../backup/naming/resolve.ts'
import type { Scope } from '../../config/values.ts'
import { InvalidRequest } from '../../errors.ts'
import { findRun, listRuns } from '../../ledger/runs.ts'
import { type OperationName, operationOf, scopeToStart } from '../../operations.ts'
import { withConnection } from '../../postgres/with-connection.ts'
import { cancelRun, rowToCancel } from '../../run/cancel.ts'
import { requests } from '../../run/request.ts'
import { limitUpTo, linkToNext } from '../answers/pages.ts'
import { asksForRows, readRun } from '../answers/read-run.ts'
import { Run } from '../answers/run.ts'
import { runOfRow } from '../answers/run-of-row.ts'
import { RunRequest } from '../answers/run-request.ts'
import { abridged, fitting } from '../answers/size.ts'
import { accepted, Started } from '../answers/start.ts'
import type { Api } from '../api.ts'
import { requireScope, requireSomeStart, scoped } from '../auth.ts'
import * as examples from '../document/examples.ts'
import { refusals } from '../document/refusals.ts'
import { answer, ifNoneMatch, noQuery, unchanged } from '../document/route.ts'
import { refusing } from '../errors.ts'
import { revalidated } from '../request/etag.ts'
import { startFor } from '../start.ts'

/** Also names that a person gave to an execution in the AWS console. */
const RunId = z.string().regex(/^[A-Za-z0-9._+!@()='-]{1,80}$/, 'is not the id of a run')
export const runParams = z.object({ runId: RunId })

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
  tags: ['Runs'],
  summary: 'Start a run',
  description: `Needs the scope of its operation: ${neededScopes()}; a backup with a label needs also reset, and a reset to a backup that is not said by its label also restore. What would be refused at once is, and nothing is started then.`,
  request: {
    headers: idempotencyHeaders,
    query: noQuery,
    body: {
      required: true,
      content: { 'application/json': { schema: RunRequest, examples: examples.requests } },
    },
  },
  responses: {
    202: answer('Accepted; or, with a key that was used before, the first run', Started, {
      has: ['Location', 'Idempotency-Replayed'],
      example: examples.started,
    }),
    ...refusals(400, 409, 413, 415, 422),
  },
})

const list = createRoute({
  operationId: 'listRuns',
  method: 'get',
  path: '/v1/runs',
  tags: ['Runs'],
  summary: 'List the runs, newest first',
  description: 'Needs the scope read.',
  middleware: [scoped('read'), revalidated],
  request: {
    headers: ifNoneMatch,
    query: z.strictObject({
      limit: limitUpTo(200, 50),
      before: RunId.optional().meta({ description: '`next` of the page before' }),
    }),
  },
  responses: {
    200: answer(
      'A page, which may have fewer runs than `limit`: it has what fits into an answer',
      z.strictObject({
        runs: z.array(Run),
        next: z
          .string()
          .nullable()
          .meta({ description: '`before` of the next page; null: this is the last' }),
      }),
      { has: ['ETag', 'Link'], example: { runs: [examples.run], next: null } },
    ),
    304: unchanged,
    ...refusals(400, 422),
  },
})

const get = createRoute({
  operationId: 'getRun',
  method: 'get',
  path: '/v1/runs/{runId}',
  tags: ['Runs'],
  summary: 'Look at a run, as far as it is',
  description:
    'Needs the scope read. To be asked again and again: with `If-None-Match`, the same is not sent again.',
  middleware: [scoped('read'), revalidated],
  request: { params: runParams, query: noQuery, headers: ifNoneMatch },
  responses: {
    200: answer('The run', Run, { has: ['ETag'], example: examples.run }),
    304: unchanged,
    ...refusals(400, 404),
  },
})

const cancelled = {
  ...examples.run,
  status: 'cancelled' as const,
  phase: 'Copy files',
  outcome: null,
  error: {
    name: 'Cancelled',
    message: 'Cancelled by api:ci in the step "Copy files". Nothing was wiped, restored or deleted',
  },
}

const cancel = createRoute({
  operationId: 'cancelRun',
  method: 'post',
  path: '/v1/runs/{runId}/cancel',
  tags: ['Runs'],
  summary: 'Cancel a run',
  description:
    'Until it wipes, restores or deletes. Needs the scope that starting it needs. Repeating it changes nothing.',
  request: { params: runParams, query: noQuery },
  responses: {
    200: answer('The run, cancelled', Run, { example: cancelled }),
    ...refusals(400, 404, 409, 413),
  },
})

/** Which scope each operation needs: its own, or another. */
function neededScopes(): string {
  const names = Object.keys(requests) as (keyof typeof requests)[]
  const isOwn = (name: OperationName) => scopeToStart(name, false) === name
  const others = names.filter((name) => !isOwn(name)).toSorted()
  const sentences = others.map((name) => {
    const [scope, forRows] = [scopeToStart(name, false), scopeToStart(name, true)]
    const when = 'rehearse' in requests[name].shape ? 'when it rehearses' : 'with `rows`'
    return `${name} needs ${scope}${forRows === scope ? '' : `, or ${forRows} ${when}`}`
  })
  return [enumeration(names.filter(isOwn), 'or'), ...sentences].join('; ')
}

/**
 * Who decides what a label means decides what a reset goes back to, so a label takes `reset` as well; and a reset to a backup
 * that nobody labelled is a restore.
 * @see docs/decisions.md#a-label-lies-in-the-ledger
 */
function furtherScopes(wanted: z.output<typeof RunRequest>): Scope[] {
  if (wanted.operation === 'backup' && wanted.label !== undefined) return ['reset']
  if (wanted.operation === 'reset' && wanted.to !== undefined && !isLabelLike(wanted.to)) return ['restore']
  return []
}

/** Bytes of one run in a list; alone it may have more. */
const runBytes = 2 ** 20

export const runs = new OpenAPIHono<Api>()
  .openapi(post, async (context) => {
    const { clients, caller } = context.var
    const wanted = context.req.valid('json')
    const { operation } = wanted
    const rows =
      ('rehearse' in wanted && wanted.rehearse === true) || ('rows' in wanted && wanted.rows !== undefined)
    requireScope(caller, scopeToStart(operation, rows))
    for (const scope of furtherScopes(wanted)) requireScope(caller, scope)
    const key = context.req.valid('header')['idempotency-key']
    const started = await refusing(startFor(clients, { wanted, caller, key }))
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
    const page = fitting(rows.slice(0, limit).map((row) => abridged(runOfRow(row), runBytes)))
    const next = rows.length > page.length ? (page.at(-1)?.runId ?? null) : null
    return context.json({ runs: page, next }, 200, linkToNext(context.req.url, { before: next }))
  })
  .openapi(get, async (context) =>
    context.json(abridged(await readRun(context.var.clients, context.req.valid('param').runId)), 200),
  )
  .openapi(cancel, async (context) => {
    const { clients, caller } = context.var
    const { runId } = context.req.valid('param')
    requireSomeStart(caller)
    const row = await withConnection(clients, (connection) => rowToCancel(clients, connection, runId))
    const { operation } = row
    const { plan } = runOfRow(row)
    const rows =
      operationOf(operation)?.scopeForRows !== undefined &&
      (plan === null ? await asksForRows(clients, runId) : plan.rehearse || plan.rows !== undefined)
    requireScope(caller, scopeToStart(operation, rows))
    return context.json(
      abridged(runOfRow(await cancelRun(clients, { runId, by: `api:${caller.name}` }))),
      200,
    )
  })
