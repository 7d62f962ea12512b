import { randomUUID } from 'node:crypto'
import type { ErrorHandler, MiddlewareHandler } from 'hono'
import { messageOf } from '../errors.ts'
import { logger } from '../log.ts'
import { databaseError } from '../postgres/errors.ts'
import { makePresentable } from '../task.ts'
import type { Api } from './api.ts'
import { problemResponse } from './problem.ts'

/** Gives each request the gateway's id, as in its own logs: it stands in the log, in a header and in each problem. */
export const identify: MiddlewareHandler<Api> = async (context, next) => {
  const requestId = context.env?.requestId ?? randomUUID()
  context.set('requestId', requestId)
  await next()
  context.res.headers.set('x-request-id', requestId)
}

/**
 * One line per request: who asked for what, and what came of it; so also who downloaded which part. Neither query nor
 * headers nor bodies, which hold tokens and presigned addresses.
 */
export const logRequest: MiddlewareHandler<Api> = async (context, next) => {
  const started = Date.now()
  await next()
  const { req, res, env } = context
  const caller: string | undefined = context.get('caller')?.name
  logger.info('request', {
    method: env?.method ?? req.method,
    path: req.path,
    status: res.status,
    caller,
    milliseconds: Date.now() - started,
    requestId: context.var.requestId,
  })
}

/** What came in is no request: it is answered as if a route had refused it. */
export const refuseUnreadable: MiddlewareHandler<Api> = async ({ env }, next) => {
  if (env?.refusal !== undefined) throw env.refusal
  await next()
}

/** Answers with a problem document; what nobody foresaw is logged, because the caller is not told. */
export const answerError: ErrorHandler<Api> = (thrown, context) => {
  const error = databaseError(thrown)
  makePresentable(error)
  const { requestId } = context.var
  const answer = problemResponse(error, { instance: context.req.path, requestId })
  if (answer.status >= 500) {
    const name = error instanceof Error ? error.name : 'UnexpectedError'
    logger.error('failed', { path: context.req.path, error: name, reason: messageOf(error), requestId })
  }
  return answer
}
