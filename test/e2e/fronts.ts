import { connect, createServer, type Socket } from 'node:net'
import { afterAll, beforeAll, beforeEach } from 'vitest'
import { close, listen } from '../../local/loopback.ts'
import { startRestFront } from '../cache/rest-front.ts'
import { startFront } from '../files/s3-front.ts'
import type { FreshStack } from '../support/stack.ts'

/** A server in front of the database's WebSocket proxy, which counts connections. `down`: it refuses them. */
async function startDatabaseFront(upstream: string) {
  const { hostname, port } = new URL(`tcp://${upstream}`)
  const front = {
    address: '',
    connections: 0,
    down: false,
    stop: async () => {
      const closed = close(server)
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
  const sockets = new Set<Socket>()
  const server = createServer((incoming) => {
    front.connections++
    sockets.add(incoming)
    incoming.on('close', () => sockets.delete(incoming))
    if (front.down) return void incoming.destroy()
    const outgoing = connect(Number(port), hostname)
    incoming.on('error', () => outgoing.destroy()).on('close', () => outgoing.destroy())
    outgoing.on('error', () => incoming.destroy()).on('close', () => incoming.destroy())
    incoming.pipe(outgoing).pipe(incoming)
  })
  front.address = `127.0.0.1:${await listen(server)}`
  return front
}

/** Servers between the product and the three stores; a run goes through them under `variables`. */
export function useFronts(reset: { readonly stack: FreshStack }) {
  let s3: Awaited<ReturnType<typeof startFront>>
  let cache: Awaited<ReturnType<typeof startRestFront>>
  let database: Awaited<ReturnType<typeof startDatabaseFront>>

  beforeAll(async () => {
    const { env } = reset.stack
    s3 = await startFront(env.AWS_ENDPOINT_URL_S3 ?? '')
    cache = await startRestFront(env.UPSTASH_REDIS_REST_URL ?? '')
    database = await startDatabaseFront(env.DATABASE_WEBSOCKET_PROXY ?? '')
  })
  afterAll(async () => {
    await Promise.all([s3?.stop(), cache?.stop(), database?.stop()])
  })
  beforeEach(() => {
    s3.faults = []
    s3.seen = []
    cache.faults = []
    cache.seen = []
    database.connections = 0
    database.down = false
  })

  return {
    get s3() {
      return s3
    },
    get cache() {
      return cache
    },
    get database() {
      return database
    },
    get variables() {
      return {
        AWS_ENDPOINT_URL_S3: s3.url,
        UPSTASH_REDIS_REST_URL: cache.url,
        DATABASE_WEBSOCKET_PROXY: database.address,
      }
    },
  }
}
