import { createHash, timingSafeEqual } from 'node:crypto'
import type { MiddlewareHandler } from 'hono'
import type { Clients } from '../clients.ts'
import type { Scope, Token } from '../config/values.ts'
import { InvalidConfiguration, StoreUnavailable } from '../errors.ts'
import { logger } from '../log.ts'
import { operations } from '../operations.ts'
import type { Api, Caller } from './api.ts'
import { Forbidden, Unauthorized } from './errors.ts'
import type { RateLimits } from './rate-limit.ts'

/**
 * The caller that the header's token belongs to. All entries are compared, each in constant time, so that the time says
 * nothing about how near a guess came.
 * @throws Unauthorized
 */
export function findCaller(tokens: readonly Token[], authorization: string | undefined, now: Date): Caller {
  const token = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1]
  const digest = createHash('sha256')
    .update(token ?? '')
    .digest()
  let found: Token | undefined
  for (const one of tokens) {
    if (timingSafeEqual(digest, Buffer.from(one.sha256, 'hex'))) found = one
  }
  if (token !== undefined && found !== undefined) return checkExpiry(found, now)
  const what =
    token === undefined
      ? 'There is no token: send "Authorization: Bearer <token>"'
      : 'The token is not one of API_TOKENS'
  throw new Unauthorized(
    `${what}. Nothing was touched; npm run -s cli -- token <name> --scopes read makes a token`,
    { hadToken: token !== undefined },
  )
}

/** @throws Unauthorized */
function checkExpiry({ sha256: _, ...caller }: Token, now: Date): Caller {
  const { name, expiresAt } = caller
  if (expiresAt === undefined || now.getTime() < Date.parse(expiresAt)) return caller
  throw new Unauthorized(
    `The token "${name}" expired at ${expiresAt}. Nothing was touched; npm run -s cli -- token ${name} --scopes ${caller.scopes.join(',')} makes another`,
    { hadToken: true },
  )
}

/** Each that starts some run. */
const startingScopes = [...new Set(Object.values(operations).map(({ scope }) => scope))] as [
  Scope,
  ...Scope[],
]

/** @param scope undefined: of what another version does it is not known here. @throws Forbidden */
export function requireScope(caller: Caller, scope: Scope | undefined): void {
  if (scope === undefined) throw new Forbidden(caller.name, ...startingScopes)
  if (!caller.scopes.includes(scope)) throw new Forbidden(caller.name, scope)
}

/** That the token can start something, before anything is read that would say what it would have to. @throws Forbidden */
export function requireSomeStart(caller: Caller): void {
  if (!startingScopes.some((scope) => caller.scopes.includes(scope)))
    throw new Forbidden(caller.name, ...startingScopes)
}

/** For a route that always needs the same scope: refused before anything is read. */
export function scoped(scope: Scope): MiddlewareHandler<Api> {
  return async (context, next) => {
    requireScope(context.var.caller, scope)
    await next()
  }
}

/** Lets nobody pass without a token of API_TOKENS, nor too often, and gives the routes the clients. */
export function authenticated(clients: () => Promise<Clients>, limits: RateLimits): MiddlewareHandler<Api> {
  return async (context, next) => {
    const authorization = context.req.header('authorization')
    const made = await clients().catch(withholdFromStrangers)
    const tokens = await made.tokens().catch(withholdFromStrangers)
    let caller: Caller
    try {
      caller = findCaller(tokens, authorization, made.now())
    } catch (error) {
      if (authorization !== undefined) limits.stranger(context) // who sends none was counted before
      throw error
    }
    limits.caller(context, caller.name)
    context.set('caller', caller)
    context.set('clients', made)
    await next()
  }
}

/** Without a configuration nobody is known, and what is wrong with it is nobody's business but the operator's. */
export function withholdFromStrangers(cause: unknown): never {
  if (cause instanceof StoreUnavailable) {
    logger.error('the configuration cannot be read', { reason: cause.message })
    throw new StoreUnavailable(
      'Who may use the API cannot be read now, so it can let nobody in. Its log has the reason; try again in a moment',
      { cause },
    )
  }
  if (!(cause instanceof InvalidConfiguration)) throw cause
  logger.error('the configuration is wrong', { reason: cause.message })
  throw new InvalidConfiguration(
    'The API is not configured, so it can let nobody in. Its log names the variable; correct it and deploy again',
    { cause },
  )
}
