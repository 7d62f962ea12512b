import type { MiddlewareHandler } from 'hono'
import { InvalidRequest } from '../../errors.ts'

/** A parameter without a name reaches no route's schema, so that none could refuse it: it would be ignored. */
export const refuseNameless: MiddlewareHandler = async ({ req }, next) => {
  if (/[?&]=/.test(new URL(req.url).search)) {
    throw new InvalidRequest(
      'A parameter of the query has no name. Nothing was touched; /v1/openapi.json describes a right request',
    )
  }
  await next()
}
