import { createHash, timingSafeEqual } from 'node:crypto'
import type { MiddlewareHandler } from 'hono'
import type { Clients } from '../clients.ts'
import type { Scope, Token } from '../config.ts'
import { InvalidConfiguration } from '../errors.ts'
import { logger } from '../log.ts'
import type { Request } from '../run/request.ts'
import { Forbidden, Unauthorized } from './errors.ts'
import type { Api } from './route.ts'

/** Who asks: what the configuration says of the token. The token itself is kept nowhere. */
export type Caller = Pick<Token, 'name' | 'scopes'>

/** What starting a run needs, and cancelling it. */
export const scopeOfOperation: Record<Request['operation'], Scope> = {
  backup: 'backup',
  reset: 'reset',
  claim: 'reset',
  restore: 'restore',
  verify: 'read',
  delete: 'delete',
}

/**
 * The caller that the header's token belongs to. All entries are compared, each in constant time, so that the time says
 * nothing about how near a guess came.
 * @throws Unauthorized
 */
export function findCaller(tokens: readonly Token[], authorization: string | undefined): Caller {
  const token = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1]
  const digest = createHash('sha256')
    .update(token ?? '')
    .digest()
  let caller: Caller | undefined
  for (const { sha256, name, scopes } of tokens) {
    if (timingSafeEqual(digest, Buffer.from(sha256, 'hex'))) caller = { name, scopes }
  }
  if (token !== undefined && caller !== undefined) return caller
  const what =
    token === undefined
      ? 'There is no token: send "Authorization: Bearer <token>"'
      : 'The token is not one of API_TOKENS'
  throw new Unauthorized(
    `${what}. Nothing was touched; npm run -s cli -- token <name> --scopes read makes a token`,
    { hadToken: token !== undefined },
  )
}

/** @throws Forbidden */
export function requireScope(caller: Caller, scope: Scope): void {
  if (!caller.scopes.includes(scope)) throw new Forbidden(caller.name, scope)
}

/** What one token at least may do, before anything is read that would say which it is. @throws Forbidden */
export function requireOneOf(caller: Caller, scopes: readonly [Scope, ...Scope[]]): void {
  if (!scopes.some((scope) => caller.scopes.includes(scope))) throw new Forbidden(caller.name, ...scopes)
}

/** For a route that always needs the same scope: refused before anything is read. */
export function scoped(scope: Scope): MiddlewareHandler<Api> {
  return async (context, next) => {
    requireScope(context.var.caller, scope)
    await next()
  }
}

/** Lets nobody pass without a token of API_TOKENS, and gives the routes the clients. */
export function authenticated(clients: () => Promise<Clients>): MiddlewareHandler<Api> {
  return async (context, next) => {
    const made = await clients().catch(withholdFromStrangers)
    context.set('caller', findCaller(made.config.API_TOKENS, context.req.header('authorization')))
    context.set('clients', made)
    await next()
  }
}

/** Without a configuration nobody is known, and what is wrong with it is nobody's business but the operator's. */
function withholdFromStrangers(cause: unknown): never {
  if (!(cause instanceof InvalidConfiguration)) throw cause
  logger.error('the configuration is wrong', { reason: cause.message })
  throw new InvalidConfiguration(
    'The API is not configured, so it can let nobody in. Its log names the variable; correct it and deploy again',
    { cause },
  )
}
