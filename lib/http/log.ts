import type { Context, ErrorHandler, MiddlewareHandler } from 'hono'
import { databaseError } from '../database/snapshot.ts'
import { messageOf } from '../errors.ts'
import { storable } from '../ledger/storable.ts'
import { logger } from '../log.ts'
import { makePresentable } from '../task.ts'
import { problemOf } from './problem.ts'
import type { Api } from './route.ts'

/**
 * One line per request: who asked for what, and what came of it; so also who downloaded which part. Neither query nor
 * headers nor bodies, which hold tokens and presigned addresses.
 */
export const logRequest: MiddlewareHandler<Api> = async (context, next) => {
  const started = Date.now()
  await next()
  const { req, res } = context
  const caller: string | undefined = context.get('caller')?.name
  logger.info('request', {
    method: req.method,
    path: req.path,
    status: res.status,
    caller,
    milliseconds: Date.now() - started,
    requestId: requestIdOf(context),
  })
}

/** Answers with a problem document; what nobody foresaw is logged, because the caller is not told. */
export const answerError: ErrorHandler<Api> = (thrown, context) => {
  const error = databaseError(thrown)
  makePresentable(error)
  const requestId = requestIdOf(context)
  const problem = problemOf(error, { instance: context.req.path, requestId })
  if (problem.status >= 500) {
    const name = error instanceof Error ? error.name : 'UnexpectedError'
    logger.error('failed', { path: context.req.path, error: name, reason: messageOf(error), requestId })
  }
  return new Response(JSON.stringify(storable(problem)), {
    status: problem.status,
    headers: {
      'content-type': 'application/problem+json',
      ...(problem.status === 401 && { 'www-authenticate': 'Bearer' }),
    },
  })
}

/** API Gateway's, as in its own logs. */
function requestIdOf({ env }: Context<Api>): string {
  const { requestContext }: { requestContext?: { requestId?: string } } = env ?? {}
  return requestContext?.requestId ?? 'unknown'
}
