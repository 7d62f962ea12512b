import type { Extent, Look } from '../store.ts'
import { countCache } from './count.ts'
import { readCacheMark } from './mark.ts'
import type { CacheOption } from './schema/option.ts'

/** What of the cache could be reset. @throws StoreUnavailable, NotPermitted */
export const lookAtCache: Look<CacheOption> = async (clients, { preserve, limits }) => {
  const { CACHE_PREFIX: prefix, PRESERVE_KEYS } = clients.config
  const signal = limits ? AbortSignal.timeout(limits.countMs) : undefined
  const mark = await readCacheMark(clients)
  const { complete, ...counts } = await countCache(clients, {
    preserve: [...PRESERVE_KEYS, ...preserve.keys],
    ...(limits === null ? {} : { limit: limits.keys, signal }),
  })
  return { mark, found: { prefix, ...counts, approximate: !complete } }
}

/** All that is managed of the cache, as a sentence says it. */
export const cacheExtent: Extent = ({ CACHE_PREFIX }) =>
  CACHE_PREFIX === '*' ? 'all cache keys' : `the cache keys ${CACHE_PREFIX}…`
