import { StoreUnavailable } from '../errors.ts'

/** A command's name and its arguments, as Redis would be sent them. */
export type Command = readonly [name: string, ...args: string[]]

/** What Redis answers: each string in it as bytes. */
export type Reply = Buffer | number | null | Reply[]

/** What became of one command of a pipeline. */
export type Answer = { result: Reply; error?: undefined } | { error: string; result?: undefined }

/** The strings of an answer to "Upstash-Encoding: base64" as bytes. @throws StoreUnavailable when they are no base64 */
export function decodeReply(value: unknown): Reply {
  if (typeof value === 'string') return decodeText(value)
  if (Array.isArray(value)) return value.map(decodeReply)
  if (value === null || typeof value === 'number') return value
  throw new StoreUnavailable(
    `The cache answered with ${typeof value} where text, a number or a list was expected`,
  )
}

export function asText(reply: Reply | undefined): string {
  if (Buffer.isBuffer(reply)) return reply.toString('utf8')
  if (typeof reply === 'number') return String(reply)
  throw unexpected('text', reply)
}

export function asNumber(reply: Reply | undefined): number {
  const number = typeof reply === 'number' ? reply : Number(asText(reply))
  if (Number.isSafeInteger(number)) return number
  throw unexpected('a number', reply)
}

export function asBytes(reply: Reply | undefined): Buffer {
  if (Buffer.isBuffer(reply)) return reply
  if (typeof reply === 'number') return Buffer.from(String(reply))
  throw unexpected('text', reply)
}

export function asList(reply: Reply | undefined): Reply[] {
  if (Array.isArray(reply)) return reply
  throw unexpected('a list', reply)
}

/**
 * A server that ignores the header sends plain text, and a word of four letters then looks like base64. Its cursors do
 * not, nor do most names of keys and types: so it is found out before anything was made of its answers.
 */
function decodeText(text: string): Buffer {
  if (text === 'OK') return Buffer.from(text) // the one word that Upstash leaves as it is; base64 never has two letters
  const bytes = Buffer.from(text, 'base64')
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0
  if (text.length % 4 === 0 && bytes.length === (text.length / 4) * 3 - padding) return bytes
  throw new StoreUnavailable(
    'The cache does not answer in base64 although it was asked to (header Upstash-Encoding), so bytes that are no text would be lost. Check UPSTASH_REDIS_REST_URL',
  )
}

function unexpected(wanted: string, reply: Reply | undefined): StoreUnavailable {
  const found = Array.isArray(reply) ? 'a list' : Buffer.isBuffer(reply) ? 'text' : String(reply)
  return new StoreUnavailable(`The cache answered with ${found} where ${wanted} was expected`)
}
