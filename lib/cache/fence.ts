import { RunLost } from '../errors.ts'
import type { Fence } from '../ledger/fence.ts'
import type { BinaryRedis } from '../redis/binary-redis.ts'
import { asText, type Command, type Reply } from '../redis/reply.ts'
import type { Again } from '../redis/rest-requester.ts'
import { fenceKey } from './keys.ts'

/** What a script answers that finds another run's fencing number, or none. */
const refused = 'FENCED'

/**
 * The beginning of every script that deletes or replaces keys: `KEYS[1]` is the fence key, `ARGV[1]` the run's fencing
 * number. A request of a run that is over may still be on its way, or wait in a function that was frozen: then the key
 * has a later number, and the server itself refuses.
 */
export const checkFence = `if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then return '${refused}' end
`

/**
 * A server that is full refuses SET, but not in a script that has written already, be it that it unlinked a key that is not
 * there. Else a cache that is full could not be emptied.
 * @see docs/decisions.md#a-cache-that-is-full-can-be-emptied
 */
const makeRoom = `redis.call('UNLINK', KEYS[2])
`
const adopt = `${makeRoom}return redis.call('SET', KEYS[1], ARGV[1])`

/** How often a run that holds the ledger's lock writes its number again, for example after it was evicted. */
const adoptions = 5

/**
 * Makes the cache heed this run alone: writes its number, after asking the ledger. The first step of every run that acts
 * on the cache does so, so that no request of an earlier run is obeyed from then on.
 * @throws RunLost when the run does not hold the lock any more
 * @see docs/decisions.md#the-cache-heeds-one-run-at-a-time
 */
export async function adoptFence(cache: BinaryRedis, fence: Fence): Promise<void> {
  await fence.check()
  await cache.ask([['EVAL', adopt, '2', fenceKey, `${fenceKey}:none`, String(fence.number)]], {
    signal: fence.signal,
  })
}

/**
 * Makes the cache heed no request of a run that is over, one that is still on its way among them; of another run's number
 * nothing is changed.
 * @throws StoreUnavailable, NotPermitted
 */
export async function closeFence(cache: BinaryRedis, number: number, signal: AbortSignal): Promise<void> {
  const close = `${makeRoom}if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('SET', KEYS[1], 'closed') end
return 1`
  await cache.ask([['EVAL', close, '2', fenceKey, `${fenceKey}:none`, String(number)]], { signal })
}

/**
 * Runs commands of which some begin with checkFence; the ledger is asked before every request. All have to be such that
 * may be repeated, as they are or as `again` makes them.
 * @throws RunLost when the run does not hold the lock any more; StoreUnavailable, NotPermitted as `ask`
 */
export async function askFenced(
  cache: BinaryRedis,
  fence: Fence,
  commands: readonly Command[],
  again?: Again,
): Promise<Reply[]> {
  for (let adopted = 0, asked = commands; ; adopted++) {
    await fence.check()
    const replies = await cache.ask(asked, { signal: fence.signal, again })
    const isRefused = replies.some((reply) => Buffer.isBuffer(reply) && asText(reply) === refused)
    if (!isRefused || adopted === adoptions) return replies.map(accept)
    // The number is not ours: the ledger says whose turn it is.
    await adoptFence(cache, fence)
    if (again !== undefined) asked = commands.map(again) // those that were not refused are done
  }
}

function accept(reply: Reply): Reply {
  if (!Buffer.isBuffer(reply) || asText(reply) !== refused) return reply
  throw new RunLost(
    `The cache's fencing number (key ${fenceKey}) is another run's, although this one holds the ledger's lock. Two environments may share the cache: check UPSTASH_REDIS_REST_URL, then start again`,
  )
}
