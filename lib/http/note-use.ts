import type { MiddlewareHandler } from 'hono'
import type { Clients } from '../clients.ts'
import { messageOf } from '../errors.ts'
import { noteTokenUse } from '../ledger/token-uses.ts'
import { logger } from '../log.ts'
import { withConnection } from '../postgres/with-connection.ts'
import type { Api } from './api.ts'

/** Milliseconds between two notes of one token, by one process. */
const everyMs = 60_000
/** What a caller waits for the note at most: it is not worth more. */
const patienceMs = 1_000

/**
 * Notes in the ledger when a token was used, once a minute at most; what was refused is no use. A note that fails keeps
 * nobody from anything.
 * @see docs/decisions.md#last-use-is-noted-by-the-tokens-name
 */
export function noteUse(): MiddlewareHandler<Api> {
  const noted = new Map<string, number>()
  return async (context, next) => {
    await next()
    const { clients, caller } = context.var
    const now = clients.now()
    if (context.res.status >= 400 || now.getTime() - (noted.get(caller.name) ?? 0) < everyMs) return
    noted.set(caller.name, now.getTime())
    await note(clients, caller.name, now)
  }
}

async function note(clients: Clients, name: string, at: Date): Promise<void> {
  const { promise: patience, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, patienceMs)
  const written = withConnection(clients, (connection) => noteTokenUse(connection, name, at)).catch(
    (error: unknown) =>
      logger.warn('the use of a token could not be noted', { caller: name, reason: messageOf(error) }),
  )
  await Promise.race([written, patience])
  clearTimeout(timer)
}
