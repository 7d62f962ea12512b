import type { Clients } from '../clients.ts'
import { EnvironmentMismatch } from '../errors.ts'
import { asText } from '../redis/reply.ts'
import type { Mark, MarkWriter } from '../store.ts'
import { environmentKey } from './keys.ts'

type Tools = Pick<Clients, 'cache'>

/** The environment's name that the cache carries, or undefined when `claim` was never run for it. */
export async function readCacheMark({ cache }: Tools): Promise<string | undefined> {
  const [mark] = await cache.ask([['GET', environmentKey]])
  return mark === null ? undefined : asText(mark)
}

/**
 * Writes the environment's name into the cache, without expiry. An equal mark that is there is fine.
 * @throws EnvironmentMismatch when the cache carries another environment's name
 */
export async function writeCacheMark(
  { cache }: Tools,
  { environment }: { environment: string },
): Promise<void> {
  await cache.ask([['SET', environmentKey, environment, 'NX']])
  // Read, not concluded from the answer: a SET that was sent again after a lost answer finds its own key taken.
  const mark = await readCacheMark({ cache })
  if (mark === environment) return
  throw new EnvironmentMismatch(
    `The cache at ${cache.host} carries the mark of the environment "${mark}", not "${environment}". Check UPSTASH_REDIS_REST_URL and ENVIRONMENT; if the cache was really handed over, delete its key ${environmentKey} and claim again`,
  )
}

export const cacheMark: Mark = {
  where: () => `The cache (key ${environmentKey})`,
  store: 'The cache',
  read: readCacheMark,
  isVolatile: true,
}

export const claimCache: MarkWriter = (clients) =>
  writeCacheMark(clients, { environment: clients.config.ENVIRONMENT })
