// A process of its own: Upstash's REST interface before a Redis.
import { givenRedis } from '../../local/cache/redis.ts'
import { startUpstashRest } from '../../local/cache/upstash-rest.ts'
import { serve } from './serve.ts'

export type RestSettings = { redisUrl: string }
export type RestStarted = { url: string; token: string }

await serve<RestSettings, never>(async ({ redisUrl }) => {
  const { url, token } = await startUpstashRest(await givenRedis(redisUrl))
  return { started: { url, token } satisfies RestStarted }
})
