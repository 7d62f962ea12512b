import type { BinaryRedis } from '../../redis/binary-redis.ts'
import { asList, asNumber, asText, type Reply } from '../../redis/reply.ts'
import { isWrongType } from '../../redis/rest-answer.ts'
import { environmentKey } from '../keys.ts'

/**
 * Whether the server tells the moment at which a key expires (PEXPIRETIME, Redis 7). Another one tells only how long it
 * has, so that the moment comes out early by the time of one question, up to some dozen milliseconds.
 */
export async function knowsExpiryTime(cache: BinaryRedis): Promise<boolean> {
  const [answer] = await cache.send([['PEXPIRETIME', environmentKey]])
  return answer?.error === undefined
}

/**
 * The last moment that a backup holds, in the year 287,396: Redis takes later ones, of which numbers here and in its scripts have
 * not all digits. A key with such a one counts everywhere as if it had this one.
 */
export const lastMoment = Number.MAX_SAFE_INTEGER

/** Milliseconds as Redis tells them, or the negative number that it tells instead. */
export function asMoment(reply: Reply | undefined): number {
  return Number(asText(reply)) > lastMoment ? lastMoment : asNumber(reply)
}

/** Milliseconds since 1970 by the server's clock, which the backup's expiry times are by. */
export async function serverTime(cache: BinaryRedis): Promise<number> {
  const [time] = await cache.ask([['TIME']])
  const [seconds, microseconds] = asList(time)
  return asNumber(seconds) * 1000 + Math.floor(asNumber(microseconds) / 1000)
}

/** What the server knows of expiry. */
export type ExpiryKnown = {
  /** See knowsExpiryTime. */
  exact: boolean
  /** Single fields of a hash may expire (HPEXPIRE, HPEXPIRETIME: Redis 7.4, Valkey 9). */
  ofFields: boolean
}

export async function readExpiryKnown(cache: BinaryRedis): Promise<ExpiryKnown> {
  const [exact, ofFields] = await cache.send([
    ['PEXPIRETIME', environmentKey],
    ['HPEXPIRETIME', environmentKey, 'FIELDS', '1', 'any'],
  ])
  const refused = ofFields?.error
  return { exact: exact?.error === undefined, ofFields: refused === undefined || isWrongType(refused) }
}
