import type { IncomingMessage } from 'node:http'
import type { Command, Reply } from './redis-commands.ts'

/** Upstash's limit for one request on its free and pay-as-you-go plans. */
const MAX_REQUEST_BYTES = 10 * 1024 * 1024

export class HttpError extends Error {
  override readonly name = 'HttpError'
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

// Upstash has no sessions, so it refuses these; here each would also change the one connection that all requests share.
const REFUSED = new Set(
  (
    'AUTH BLMOVE BLMPOP BLPOP BRPOP BRPOPLPUSH BZMPOP BZPOPMAX BZPOPMIN CLIENT CONFIG DEBUG DISCARD EXEC HELLO MIGRATE MONITOR ' +
    'MULTI PSUBSCRIBE PSYNC PUNSUBSCRIBE QUIT REPLICAOF RESET SELECT SHUTDOWN SLAVEOF SSUBSCRIBE SUBSCRIBE SUNSUBSCRIBE ' +
    'SWAPDB SYNC UNSUBSCRIBE UNWATCH WAIT WATCH'
  ).split(' '),
)

// Commands that answer with the status OK. Upstash leaves that one word as it is in a base64 answer.
const ANSWER_OK = new Set(
  'FLUSHALL FLUSHDB FUNCTION HMSET LSET LTRIM MSET PFMERGE PSETEX RENAME RESTORE SCRIPT SET SETEX XGROUP'.split(
    ' ',
  ),
)

export function parseCommand(body: Buffer): Command {
  return toCommand(parseJson(body))
}

export function parseCommands(body: Buffer): Command[] {
  const commands = parseJson(body)
  if (!Array.isArray(commands)) throw new HttpError(400, 'ERR failed to parse pipeline request')
  return commands.map(toCommand)
}

/** `/set/foo?EX=100` with a body: its parts, then the body as it came, then what follows the value. */
export function pathCommand(url: URL, body: Buffer): Command {
  const parts = url.pathname.slice(1).replace(/\/$/, '').split('/').map(decodePart)
  const [name = '', ...args] = parts
  const options = [...url.searchParams].flat().filter((part) => part !== '')
  return allowed([name, ...args, ...(body.length > 0 ? [body] : []), ...options])
}

export async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request) {
    size += chunk.length
    if (size > MAX_REQUEST_BYTES) {
      throw new HttpError(413, `ERR max request size exceeded. Limit: ${MAX_REQUEST_BYTES} bytes`)
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** Strings in base64 when that was asked for, at any depth; numbers and null stay what they are. */
export function encodeReply(reply: Reply, command: Command, base64: boolean): unknown {
  if (Array.isArray(reply)) return reply.map((part) => encodeReply(part, ['nested'], base64))
  if (reply === null || typeof reply === 'number') return reply
  const bytes = typeof reply === 'string' ? Buffer.from(reply) : reply
  if (!base64) return bytes.toString('utf8')
  const isStatus = bytes.toString('latin1') === 'OK' && ANSWER_OK.has(command[0].toUpperCase())
  return isStatus ? 'OK' : bytes.toString('base64')
}

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'))
  } catch {
    throw new HttpError(400, 'ERR failed to parse command: the body is no JSON')
  }
}

function toCommand(value: unknown): Command {
  if (!Array.isArray(value) || value.length === 0) throw new HttpError(400, 'ERR empty or invalid command')
  const [name = '', ...args] = value.map((part) => {
    if (typeof part === 'string') return part
    if (typeof part === 'number' || typeof part === 'boolean') return String(part)
    throw new HttpError(400, 'ERR invalid command: each argument must be a string, a number or a boolean')
  })
  return allowed([name, ...args])
}

function allowed(command: Command): Command {
  if (!REFUSED.has(command[0].toUpperCase())) return command
  throw new HttpError(400, `ERR Command is not available: '${command[0]}'`)
}

function decodePart(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    throw new HttpError(400, 'ERR invalid percent-encoding in the path')
  }
}
