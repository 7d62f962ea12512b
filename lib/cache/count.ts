import type { Clients } from '../clients.ts'
import { asNumber } from '../redis/reply.ts'
import { scanKeys } from '../redis/scan.ts'
import { KeySet, SmallKeySet } from './key-set.ts'
import { keyScope, ownKeys, preservedBy } from './keys.ts'

type KeyCount = {
  keys: number
  preservedKeys: number
  /** Patterns that match no key: probably typos, and what they were meant to keep would go. */
  unmatched: string[]
  /** False when `limit` or `signal` ended it early. */
  complete: boolean
}

/** Keys asked for per SCAN. */
const pageKeys = 5_000

/** So many may be kept as they are. */
const fewKeys = 50_000

/**
 * Counts the keys below CACHE_PREFIX, and those of them that match a preserved pattern. Exact while nobody writes: each
 * key once, the environment's own key not. Memory: about 20 bytes per key, and with `limit` up to 200. With it it stops at that many keys, or at
 * the next page when `signal` aborts: a scan visits all keys of the database, however few are below the prefix.
 * @throws StoreUnavailable, NotPermitted
 */
export async function countCache(
  { cache, config }: Pick<Clients, 'cache' | 'config'>,
  {
    preserve,
    limit = Number.POSITIVE_INFINITY,
    signal,
  }: { preserve: readonly string[]; limit?: number; signal?: AbortSignal | undefined },
): Promise<KeyCount> {
  const scope = keyScope(config.CACHE_PREFIX)
  if (scope.match === undefined && preserve.length === 0) {
    const [size, own] = await cache.ask([['DBSIZE'], ['EXISTS', ...ownKeys]])
    return { keys: asNumber(size) - asNumber(own), preservedKeys: 0, unmatched: [], complete: true }
  }
  const patternsOf = preservedBy(preserve)
  const matched = new Set<number>()
  const seen = limit > fewKeys ? new KeySet() : new SmallKeySet()
  let preservedKeys = 0
  for await (const page of scanKeys(cache, { match: scope.match, count: pageKeys })) {
    for (const key of page) {
      if (!scope.includes(key) || !seen.add(key)) continue
      if (seen.size > limit) return { keys: limit, preservedKeys, unmatched: [], complete: false }
      const patterns = patternsOf(key)
      for (const pattern of patterns) matched.add(pattern)
      if (patterns.length > 0) preservedKeys++
    }
    if (signal?.aborted) return { keys: seen.size, preservedKeys, unmatched: [], complete: false }
  }
  const unmatched = preserve.filter((_, index) => !matched.has(index))
  return { keys: seen.size, preservedKeys, unmatched, complete: true }
}
