import type { BinaryRedis } from './binary-redis.ts'
import { environmentKey } from './keys.ts'

/**
 * Whether the server tells the moment at which a key expires (PEXPIRETIME, Redis 7). Another one tells only how long it
 * has, so that the moment comes out early by the time of one question, up to some dozen milliseconds.
 */
export async function knowsExpiryTime(cache: BinaryRedis): Promise<boolean> {
  const [answer] = await cache.send([['PEXPIRETIME', environmentKey]])
  return answer?.error === undefined
}
