import type { Redis } from 'ioredis'
import { fenceKey } from '../../lib/cache/keys.ts'
import { bytesOf, type JsonBytes, type Line } from './cache-stack.ts'

/** Writes exported lines into a Redis, as the format says they are to be read. */
export async function rebuild(redis: Redis, lines: readonly Line[]): Promise<void> {
  for (const { key: json, type, part = 1, value, expiresAt, stream } of lines) {
    const key = bytesOf(json)
    if (part === 1) await redis.del(key)
    const flat = (pairs: [JsonBytes, JsonBytes][]) => pairs.flatMap((pair) => pair.map(bytesOf))
    if (type === 'string')
      await (part === 1 ? redis.set(key, bytesOf(value)) : redis.append(key, bytesOf(value)))
    if (type === 'list') await redis.rpush(key, ...value.map(bytesOf))
    if (type === 'set') await redis.sadd(key, ...value.map(bytesOf))
    if (type === 'hash') await redis.hset(key, ...flat(value))
    if (type === 'zset') {
      await redis.call(
        'ZADD',
        key,
        ...(value as JsonBytes[][]).flatMap(([member, score]) => [bytesOf(score!), bytesOf(member!)]),
      )
    }
    if (type === 'stream') {
      for (const [id, fields] of value) await redis.call('XADD', key, id, ...fields.map(bytesOf))
    }
    if (stream) {
      const { lastId, entriesAdded, maxDeletedId } = stream
      await redis.call('XSETID', key, lastId, 'ENTRIESADDED', entriesAdded, 'MAXDELETEDID', maxDeletedId)
      for (const { name, lastDeliveredId, entriesRead } of stream.groups) {
        const read = entriesRead === null ? [] : ['ENTRIESREAD', String(entriesRead)]
        await redis.call('XGROUP', 'CREATE', key, bytesOf(name), lastDeliveredId, ...read)
      }
    }
    if (expiresAt !== null) await redis.pexpireat(key, expiresAt)
  }
}

/**
 * Everything a Redis holds, by key in hex: type, value (elements in hex, sorted where Redis has no order) and expiry in
 * milliseconds since 1970 (-1: never).
 */
export async function snapshot(
  redis: Redis,
): Promise<Record<string, { type: string; value: unknown; expiresAt: number }>> {
  const all: Record<string, { type: string; value: unknown; expiresAt: number }> = {}
  for (const key of await redis.keysBuffer('*')) {
    if (key.toString() === fenceKey) continue
    const type = await redis.type(key)
    const expiresAt = Number(await redis.call('PEXPIRETIME', key))
    all[key.toString('hex')] = { type, value: await readValue(redis, type, key), expiresAt }
  }
  return all
}

async function readValue(redis: Redis, type: string, key: Buffer): Promise<unknown> {
  const read = async (command: string, ...args: string[]) =>
    hex(await redis.callBuffer(command, key, ...args))
  if (type === 'string') return await read('GET')
  if (type === 'list') return await read('LRANGE', '0', '-1')
  if (type === 'set') return ((await read('SMEMBERS')) as string[]).sort()
  if (type === 'hash') return pairs((await read('HGETALL')) as string[]).sort()
  if (type === 'zset') return pairs((await read('ZRANGE', '0', '-1', 'WITHSCORES')) as string[])
  const stands = async (about: string) => {
    const reply = (await redis.callBuffer('XINFO', about, key)) as unknown[]
    return about === 'GROUPS' ? reply.map((group) => chosen(group as unknown[])) : chosen(reply)
  }
  return [await read('XRANGE', '-', '+'), await stands('STREAM'), await stands('GROUPS')]
}

/** Of what XINFO tells: not how the server holds it, nor what consumers have taken. */
function chosen(reply: readonly unknown[]): Record<string, string> {
  const names = [
    'last-generated-id',
    'entries-added',
    'max-deleted-entry-id',
    'name',
    'last-delivered-id',
    'entries-read',
  ]
  const told: Record<string, string> = {}
  for (let at = 0; at < reply.length; at += 2) {
    const name = String(reply[at])
    if (names.includes(name)) told[name] = Buffer.from(String(reply[at + 1])).toString('latin1')
  }
  return told
}

function hex(reply: unknown): unknown {
  return Buffer.isBuffer(reply) ? reply.toString('hex') : Array.isArray(reply) ? reply.map(hex) : reply
}

function pairs(flat: readonly string[]): string[] {
  return flat.flatMap((part, index) => (index % 2 === 0 ? [`${part} ${flat[index + 1]}`] : []))
}
