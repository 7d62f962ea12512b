import { createServer } from 'node:http'
import type { Socket } from 'node:net'
import { type RawData, type WebSocket, WebSocketServer } from 'ws'
import { close, LOOPBACK, listen } from '../loopback.ts'
import { connectPostgres, type PostgresTarget } from './socket.ts'

export type WebSocketProxy = {
  /** host:port, without a scheme, as the driver's `wsProxy` wants it. */
  address: string
  stop(): Promise<void>
}

const PAUSE_AT_BYTES = 1024 * 1024
const MAX_MESSAGE_BYTES = 1024 * 1024 * 1024 // PostgreSQL's own limit for one message; the default of ws is 100 MiB.

/**
 * Lets the Neon driver, which speaks PostgreSQL over a WebSocket, talk to a plain PostgreSQL. It forwards to the one
 * target it was started for, whatever address a client asks for.
 */
export async function startWebSocketProxy(target: PostgresTarget): Promise<WebSocketProxy> {
  const http = createServer((_, response) => response.writeHead(426).end('This is a WebSocket proxy.\n'))
  const server = new WebSocketServer({
    server: http,
    perMessageDeflate: false,
    maxPayload: MAX_MESSAGE_BYTES,
    skipUTF8Validation: true,
    // A web page may open a WebSocket to any address, and its browser says so; the driver in Node is no web page.
    verifyClient: ({ origin }: { origin?: string }) => !origin?.startsWith('http'),
  })
  server.on('connection', (client) => void forward(client, target))
  const port = await listen(http)
  return { address: `${LOOPBACK}:${port}`, stop }

  async function stop(): Promise<void> {
    for (const client of server.clients) client.terminate()
    server.close()
    await close(http)
  }
}

async function forward(client: WebSocket, target: PostgresTarget): Promise<void> {
  client.pause() // What the driver sends before the connection stands waits in the socket.
  client.on('error', () => client.terminate())
  const database = await connectPostgres(target).catch((error: Error) => error)
  if (database instanceof Error) {
    client.resume()
    client.close(1011, database.message.slice(0, 120))
    return
  }
  if (client.readyState !== client.OPEN) {
    database.destroy()
    return
  }
  toDatabase(client, database)
  toClient(client, database)
  client.resume()
}

function toDatabase(client: WebSocket, database: Socket): void {
  client.on('message', (data: RawData) => {
    if (!database.writable) return // it takes no more, and would never say that it is drained
    for (const chunk of Array.isArray(data) ? data : [data]) {
      if (!database.write(chunk instanceof ArrayBuffer ? new Uint8Array(chunk) : chunk)) client.pause()
    }
  })
  database.on('drain', () => client.resume())
  client.on('close', () => {
    database.resume() // Otherwise what it still sends keeps the socket open for good.
    database.end()
  })
}

function toClient(client: WebSocket, database: Socket): void {
  database.on('data', (chunk: Buffer) => {
    client.send(chunk, { binary: true }, () => {
      if (client.bufferedAmount < PAUSE_AT_BYTES) database.resume()
    })
    if (client.bufferedAmount >= PAUSE_AT_BYTES) database.pause()
  })
  database.on('error', (error) => client.close(1011, error.message.slice(0, 120)))
  // close() goes out behind the data sent before it, so the driver still reads the server's last words. It is answered,
  // which has to be read.
  database.on('close', () => {
    client.close(1000)
    client.resume()
  })
}
