import { hostOf } from '../address.ts'
import type { Starting } from '../store.ts'
import { givenRedis, howToInstall, startRedis } from './redis.ts'
import type { CacheShape } from './store.ts'
import { startUpstashRest } from './upstash-rest.ts'

/** Upstash, or a Redis with an imitation of Upstash's REST interface in front of it. */
export async function startCache(
  plan: CacheShape['plan'],
  { environment, guarded, onEnd }: Starting,
): Promise<CacheShape['started']> {
  const CACHE_PREFIX = environment.CACHE_PREFIX || '*'
  if ('restUrl' in plan) {
    const description = `Upstash at ${hostOf(plan.restUrl)}`
    return {
      service: { name: 'cache', embedded: false, description, real: ['Upstash Redis'], imitated: [] },
      env: { CACHE_PREFIX, UPSTASH_REDIS_REST_URL: plan.restUrl, UPSTASH_REDIS_REST_TOKEN: plan.token },
      connectRedis: undefined,
    }
  }
  const store = plan.embedded
    ? await startRedis(await guarded(), environment)
    : await givenRedis(plan.redisUrl)
  const rest = await startUpstashRest(store)
  onEnd(rest.stop)
  return {
    service: {
      name: 'cache',
      embedded: plan.embedded,
      description: `${store.description}, REST on ${hostOf(rest.url)}`,
      real: store.mock ? [] : [store.version],
      imitated: [
        ...(store.mock ? [`Redis (ioredis-mock. ${howToInstall()})`] : []),
        "Upstash's REST interface",
      ],
    },
    env: { CACHE_PREFIX, UPSTASH_REDIS_REST_URL: rest.url, UPSTASH_REDIS_REST_TOKEN: rest.token },
    connectRedis: store.connect,
  }
}
