import type { Redis } from 'ioredis'
import { counted } from '../../lib/amounts.ts'
import type { CacheOption } from '../../lib/cache/schema/option.ts'
import { parseAddress } from '../address.ts'
import type { LocalStore, Started } from '../store.ts'
import { showCacheOption } from './option.ts'

export type CacheShape = {
  plan:
    | { embedded: true }
    | { embedded: false; redisUrl: string }
    | { embedded: false; restUrl: string; token: string }
  /** `connectRedis`: a client past the REST front, to the same keys. */
  started: Started & { connectRedis: (() => Redis) | undefined }
  filled: { keys: number }
  count: { keys: number }
  found: CacheOption
}

export const cache: LocalStore<CacheShape> = {
  addresses: ['REDIS_URL', 'UPSTASH_REDIS_REST_URL'],
  howToGive: 'REDIS_URL (or UPSTASH_REDIS_REST_URL and its token)',
  plan,
  givenBy: (plan) => ('redisUrl' in plan ? 'REDIS_URL' : 'UPSTASH_REDIS_REST_URL'),
  isComplete: (plan) => 'restUrl' in plan,
  provide: async (provision) => (await import('./provide-redis.ts')).provideRedis(provision),
  start: async (plan, starting) => (await import('./service.ts')).startCache(plan, starting),
  fill: async (reached, scale) => (await import('./sample.ts')).fillCache(reached, scale),
  filledWith: ({ keys }) => counted(keys, 'cache key'),
  showOption: showCacheOption,
  demonstration: async () => (await import('./demonstration.ts')).keys,
}

function plan(environment: NodeJS.ProcessEnv): CacheShape['plan'] {
  const {
    UPSTASH_REDIS_REST_URL: restUrl,
    UPSTASH_REDIS_REST_TOKEN: token,
    REDIS_URL: redisUrl,
  } = environment
  if (restUrl && token) return { embedded: false, restUrl, token }
  if (restUrl || token) {
    const [there, missing] = restUrl ? ['URL', 'TOKEN'] : ['TOKEN', 'URL']
    throw new Error(
      `UPSTASH_REDIS_REST_${there} is set, but UPSTASH_REDIS_REST_${missing} is not: set both or neither.`,
    )
  }
  if (!redisUrl) return { embedded: true }
  parseAddress('REDIS_URL', redisUrl)
  return { embedded: false, redisUrl }
}
