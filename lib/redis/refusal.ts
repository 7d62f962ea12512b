import {
  CacheQuotaExceeded,
  CacheValueTooLarge,
  NotPermitted,
  type ResetError,
  StoreUnavailable,
} from '../errors.ts'

/**
 * The error for a reason that Redis or Upstash gives for refusing a command or a request. The texts of Upstash are those
 * of its troubleshooting pages (https://upstash.com/docs/redis/troubleshooting).
 * @param what names what was refused; never with arguments, which may be keys and values
 */
export function refusalOf(host: string, what: string, reason: string): ResetError {
  const said = `The cache at ${host} refused ${what}: ${reason}`
  if (/max (daily request|requests|bandwidth) limit exceeded/i.test(reason)) {
    return new CacheQuotaExceeded(
      `${said}. The plan's number of requests is used up: wait for the next period, or upgrade the plan, then start again`,
    )
  }
  if (/capacity quota exceeded|^(ERR )?OOM |\bOOM command not allowed/i.test(reason)) {
    return new CacheQuotaExceeded(
      `${said}. It has no room for more data: upgrade the plan or raise maxmemory, or delete what is not needed, then start again`,
    )
  }
  if (/max (request|single record|record|key) size exceeded/i.test(reason)) {
    return new CacheValueTooLarge(
      `${said}. A key or value is larger than the plan takes: upgrade the plan, or leave it out of the prefix, then start again`,
    )
  }
  // Inside a script Redis has other words for NOPERM, since 7.4 yet others.
  if (
    /\b(NOPERM|READONLY|NOAUTH|WRONGPASS)\b|executing the script can't|ACL failure in script/.test(reason)
  ) {
    return new NotPermitted(
      `${said}. Give UPSTASH_REDIS_REST_TOKEN a token that may read, write, UNLINK and EVAL below CACHE_PREFIX and taskmaster:environment*, on a primary; a read-only one does not do`,
    )
  }
  if (/\b(NOREPLICAS|LOADING|MASTERDOWN|BUSY|CLUSTERDOWN|TRYAGAIN)\b/.test(reason)) {
    return new StoreUnavailable(`${said}. It cannot write now: look at its state, then start again`)
  }
  return new StoreUnavailable(`${said}. Check that it is Redis 6 or later, and what the token may do`)
}
