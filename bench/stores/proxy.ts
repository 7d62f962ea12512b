// A process of its own: what Neon has before its Postgres, a WebSocket for each connection.
import { postgresTarget } from '../../local/database/socket.ts'
import { startWebSocketProxy } from '../../local/database/websocket-proxy.ts'
import { serve } from './serve.ts'

export type ProxySettings = { databaseUrl: string }
export type ProxyStarted = { address: string }

await serve<ProxySettings, never>(async ({ databaseUrl }) => {
  const { address } = await startWebSocketProxy(postgresTarget(databaseUrl))
  return { started: { address } satisfies ProxyStarted }
})
