import { randomUUID } from 'node:crypto'
import { agreeing, counted } from '../amounts.ts'
import type { Warning } from '../backup/manifest.ts'
import type { Clients } from '../clients.ts'
import { KeysReserved } from '../errors.ts'
import { command } from '../redis/command.ts'
import { escapeGlob } from '../redis/glob.ts'
import { asNumber, asText, type Reply } from '../redis/reply.ts'
import { scanKeys } from '../redis/scan.ts'
import { KeyTally } from './findings.ts'
import { fenceKey, reservedPrefix } from './keys.ts'
import { unfinishedMs } from './restore/script.ts'

type Tools = Pick<Clients, 'cache' | 'config'>

/** How long the key lives that is written to try it, should it not be deleted again. */
const probeMs = 60_000

/** Writes, reads and unlinks a key of our own, and writes the fencing number that is there. */
const tryEverything = (
  needsRoom: boolean,
) => `${needsRoom ? '' : "redis.call('UNLINK', KEYS[1])\n"}redis.call('SET', KEYS[1], 'probe', 'PX', ARGV[1])
local found = redis.call('GET', KEYS[1])
local fence = redis.call('GET', KEYS[2])
if fence then redis.call('SET', KEYS[2], fence) else
  redis.call('SET', KEYS[2], '0')
end
redis.call('UNLINK', KEYS[1])
return found`

/**
 * Tries what the later steps need, on keys of our own, before anything is wiped: that the token may write, UNLINK and EVAL,
 * that there is room where the run writes (a full cache can be emptied), and that no key of the application has a name that is reserved for ours.
 * @param needsRoom the run puts keys into the cache
 * @returns a warning when the cache may evict the environment's mark
 * @throws NotPermitted, CacheQuotaExceeded, KeysReserved, StoreUnavailable
 */
export async function probeCache(
  { cache, config }: Tools,
  { needsRoom }: { needsRoom: boolean },
): Promise<Warning[]> {
  const key = `${reservedPrefix(config.CACHE_PREFIX, 'probe')}${randomUUID()}`
  await cache.ask([['EVAL', tryEverything(needsRoom), '2', key, fenceKey, String(probeMs)]])
  await refuseReservedKeys({ cache, config })
  const policy = await evictionPolicy({ cache })
  if (policy === null || !policy.startsWith('allkeys-')) return []
  const message = `The cache evicts keys when it is full (maxmemory-policy ${policy}), also the one that carries the environment's name. If that happens, a run ends in EnvironmentUnclaimed, and "claim" writes it again`
  return [{ code: 'CacheEvicts', message }]
}

/** The part of it that only reads. @throws KeysReserved */
export async function refuseReservedKeys({ cache, config }: Tools): Promise<void> {
  for (const purpose of ['restoring', 'probe'] as const) {
    await refuseReserved({ cache, config }, reservedPrefix(config.CACHE_PREFIX, purpose))
  }
}

/** Ours have little time to live; a key that has more, or none, is the application's. */
async function refuseReserved({ cache }: Tools, prefix: string): Promise<void> {
  const foreign = new KeyTally()
  for await (const page of scanKeys(cache, { match: `${escapeGlob(prefix)}*`, count: 5_000 })) {
    const named = page.filter((key) => key.indexOf(prefix) === 0)
    const times = named.length === 0 ? [] : await cache.ask(named.map((key) => command('PTTL', key)))
    for (const [index, key] of named.entries()) if (isForeign(times[index])) foreign.add(key)
  }
  if (foreign.count === 0) return
  throw new KeysReserved(
    `${counted(foreign.count, 'cache key')} ${agreeing(foreign.count, 'begins', 'begin')} with ${prefix}, which is reserved for keys that a run makes for a while, and ${agreeing(foreign.count, 'is', 'are')} not of a run: ${foreign.names()}. Nothing was touched; rename or delete them`,
  )
}

function isForeign(time: Reply | undefined): boolean {
  const milliseconds = asNumber(time)
  return milliseconds === -1 || milliseconds > unfinishedMs
}

/** What the server says of its maxmemory-policy; null: it does not say. */
async function evictionPolicy({ cache }: Pick<Tools, 'cache'>): Promise<string | null> {
  const [answer] = await cache.send([['INFO', 'memory']])
  if (answer?.error !== undefined || !Buffer.isBuffer(answer?.result)) return null
  return /^maxmemory_policy:(\S+)/m.exec(asText(answer.result))?.[1] ?? null
}
