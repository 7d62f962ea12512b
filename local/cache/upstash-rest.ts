import { randomBytes, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { close, LOOPBACK, listen } from '../loopback.ts'
import type { RedisStore } from './redis.ts'
import { type Command, type RedisCommands, redisCommands } from './redis-commands.ts'
import {
  encodeReply,
  HttpError,
  parseCommand,
  parseCommands,
  pathCommand,
  readBody,
} from './upstash-format.ts'

export type UpstashRest = { url: string; token: string; stop(): Promise<void> }

const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT'])

/**
 * Answers as the REST API of Upstash does (https://upstash.com/docs/redis/features/restapi), from a Redis of our own, so
 * that `@upstash/redis` and a plain fetch find the same thing here as there.
 */
export async function startUpstashRest(store: RedisStore): Promise<UpstashRest> {
  const redis = redisCommands(store)
  const token = randomBytes(24).toString('base64url')
  const server = createServer((request, response) => {
    answer(request, redis, token)
      .catch(asAnswer)
      .then(({ status, body }) => send(response, status, body))
  })
  const port = await listen(server)
  return { url: `http://${LOOPBACK}:${port}`, token, stop }

  async function stop(): Promise<void> {
    const closed = close(server)
    server.closeAllConnections()
    await closed
    redis.end()
  }
}

type Answer = { status: number; body: unknown }

async function answer(request: IncomingMessage, redis: RedisCommands, token: string): Promise<Answer> {
  if (!METHODS.has(request.method ?? ''))
    throw new HttpError(405, `ERR method ${request.method} is not allowed`)
  if (!isAuthorized(request, token)) throw new HttpError(401, 'WRONGPASS invalid or missing auth token')
  const body = await readBody(request)
  const base64 = request.headers['upstash-encoding'] === 'base64'
  const url = new URL(request.url ?? '/', 'http://localhost')

  if (url.pathname === '/pipeline') {
    const commands = parseCommands(body)
    // Sent at once and in order, as a pipeline is; one that fails does not stop the others.
    return {
      status: 200,
      body: await Promise.all(commands.map((command) => item(redis.run(command), command, base64))),
    }
  }
  if (url.pathname === '/multi-exec') {
    const commands = parseCommands(body)
    const replies = await redis.transaction(commands)
    const items = replies.map((reply, index) => {
      const outcome = reply instanceof Error ? Promise.reject(reply) : Promise.resolve(reply)
      return item(outcome, commands[index] as Command, base64)
    })
    return { status: 200, body: await Promise.all(items) }
  }
  const command = url.pathname === '/' ? parseCommand(body) : pathCommand(url, body)
  return { status: 200, body: { result: encodeReply(await redis.run(command), command, base64) } }
}

async function item(
  reply: ReturnType<RedisCommands['run']>,
  command: Command,
  base64: boolean,
): Promise<unknown> {
  return await reply.then(
    (value) => ({ result: encodeReply(value, command, base64) }),
    (error: Error) => ({ error: error.message }),
  )
}

function isAuthorized(request: IncomingMessage, token: string): boolean {
  const given = Buffer.from(request.headers.authorization ?? '')
  const wanted = Buffer.from(`Bearer ${token}`)
  return given.length === wanted.length && timingSafeEqual(given, wanted)
}

/** What Redis refuses is the caller's mistake (400); a Redis that does not answer is not. */
function asAnswer(error: Error): Answer {
  const lost = error.name === 'MaxRetriesPerRequestError' || error.message.startsWith('Connection is closed')
  const status = error instanceof HttpError ? error.status : lost ? 503 : 400
  return { status, body: { error: error.message } }
}

function send(response: ServerResponse, status: number, body: unknown): void {
  const text = JSON.stringify(body)
  // After a refusal the rest of the request may still be on its way: it is not worth reading.
  if (status >= 400) response.setHeader('connection', 'close')
  response
    .writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
    .end(text)
}
