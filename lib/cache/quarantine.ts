import type { Fence } from '../ledger/fence.ts'
import type { BinaryRedis } from '../redis/binary-redis.ts'
import { textOrHex } from '../redis/command.ts'
import { escapeGlob } from '../redis/glob.ts'
import { asNumber, type Command } from '../redis/reply.ts'
import { scanKeys } from '../redis/scan.ts'
import { askFenced, checkFence } from './fence.ts'
import { fenceKey, reservedPrefix, startsWith } from './keys.ts'
import { bytesOfHex } from './value/script-keys.ts'

/**
 * Keys that are being wiped although they change all the time: renamed, so that nobody writes to them any more, until
 * their value is in the backup. The name says what they were called.
 */
export type Quarantine = {
  /** What their names begin with. */
  prefix: string
  holds(key: Buffer): boolean
  /** A key under its own name, whether or not it was quarantined. */
  nameOf(key: Buffer): Buffer
  /** The name under which a key is quarantined. */
  keyOf(name: Buffer): Buffer
}

export function quarantineBelow(cachePrefix: string): Quarantine {
  const prefix = reservedPrefix(cachePrefix, 'aside')
  const start = Buffer.from(prefix)
  const holds = (key: Buffer) => startsWith(key, start)
  return {
    prefix,
    holds,
    nameOf: (key) => (holds(key) ? key.subarray(start.length) : key),
    keyOf: (name) => Buffer.concat([start, name]),
  }
}

/** Gives a key its name back, unless there is one of that name again. An answer may be lost, and the question repeated. */
const giveBack = `${checkFence}${bytesOfHex}local aside, name = ARGV[2], ARGV[3]
if ARGV[4] == 'hex' then
  aside, name = bytesOf(aside), bytesOf(name)
end
if redis.call('EXISTS', aside) == 0 then return redis.call('EXISTS', name) end
return redis.call('RENAMENX', aside, name)`

/**
 * Puts keys that a wipe quarantined, and did not come to delete, back under their names. One whose name was taken meanwhile
 * stays where it is, and is a key like any other.
 * @returns the names that are there again
 * @throws RunLost, StoreUnavailable, NotPermitted
 */
export async function release(
  cache: BinaryRedis,
  fence: Fence,
  { quarantine, keys }: { quarantine: Quarantine; keys: readonly Buffer[] },
): Promise<Buffer[]> {
  const commands = keys.map((key): Command => {
    const { encoding, texts } = textOrHex([key, quarantine.nameOf(key)])
    return ['EVAL', giveBack, '1', fenceKey, String(fence.number), ...texts, encoding]
  })
  const replies = commands.length === 0 ? [] : await askFenced(cache, fence, commands)
  return keys.filter((_, index) => asNumber(replies[index]) === 1).map((key) => quarantine.nameOf(key))
}

/** As release, for all keys that are quarantined. */
export async function releaseAll(cache: BinaryRedis, fence: Fence, quarantine: Quarantine): Promise<void> {
  for await (const page of scanKeys(cache, { match: `${escapeGlob(quarantine.prefix)}*`, count: 5_000 })) {
    await release(cache, fence, { quarantine, keys: page.filter(quarantine.holds) })
  }
}
