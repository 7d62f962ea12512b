import type { Clients } from '../clients.ts'
import type { Token } from '../config/values.ts'

/** What the gateway knows of a request; the app may be asked without one, and then there is none. */
export type Gateway = {
  requestId?: string
  sourceIp?: string | undefined
  /** The method that was asked with, where the platform's requests cannot have it. */
  method?: string
  /** Why what came in is no request. */
  refusal?: Error
}

/** Who asks: what the configuration says of the token. The token itself is kept nowhere. */
export type Caller = Pick<Token, 'name' | 'scopes' | 'expiresAt'>

/** What a route's handler finds in its context. */
export type Api = {
  Bindings: Gateway
  Variables: { requestId: string; clients: Clients; caller: Caller }
}
