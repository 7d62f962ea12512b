import { bytes, counted } from '../../lib/amounts.ts'
import { codecOfNew } from '../../lib/backup/codec/codec.ts'
import { same } from '../demo/same.ts'
import type { Demonstration } from '../store.ts'
import type { CacheShape } from './store.ts'

/** Without the keys that carry the environment's name and the fencing number. */
export const keys: Demonstration<CacheShape['count']> = {
  async count({ connectRedis }) {
    const redis = connectRedis?.()
    if (redis === undefined) throw new Error('The cache of the demo cannot be reached past its REST front')
    try {
      const own = await redis.exists('taskmaster:environment', 'taskmaster:environment:fence')
      return { keys: (await redis.dbsize()) - own }
    } finally {
      redis.disconnect()
    }
  },
  words: ({ keys }) => counted(keys, 'cache key'),
  summary: ({ before, backup: { cache }, outcome }) => [
    counted(before.keys, 'key'),
    `${counted(cache?.keys ?? 0, 'key')}, ${bytes((cache?.parts ?? []).reduce((sum, part) => sum + part.bytes, 0))} ${codecOfNew.name}`,
    counted(outcome.targets.cache.keys, 'key'),
    "the environment's mark",
  ],
  async proveWiped({ before, after, outcome }) {
    same('keys left', after.keys, 0)
    same('keys wiped', outcome.targets.cache.keys, before.keys)
    return `DBSIZE: ${counted(before.keys, 'key')} before, 0 after, not counting the environment's own`
  },
  async use({ connectRedis }) {
    const redis = connectRedis?.()
    await redis?.mset('session:guest', '{}', 'page:/guest', '<h1>Guest</h1>')
    redis?.disconnect()
    return '2 cache keys'
  },
  proveRestored({ before, after }) {
    same('keys', after.keys, before.keys)
    return `DBSIZE: ${counted(after.keys, 'key')}, as in the beginning`
  },
}
