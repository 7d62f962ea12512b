import type { BinaryRedis } from './binary-redis.ts'
import { command, unlink } from './command.ts'
import type { Found } from './findings.ts'
import { asNumber, asText, type Reply } from './reply.ts'
import { scanKeys } from './scan.ts'
import type { SeenKeys } from './seen-keys.ts'

export type ExtraKeys = {
  match: string | undefined
  /** Whether a key is ours to deal with. */
  includes: (key: Buffer) => boolean
  /** Whether a key was left over by a restore that did not end: it goes in any case. */
  isLeftover: (key: Buffer) => boolean
  /** The keys of the backup. Those that are found beside them are added. */
  known: SeenKeys
  exact: boolean
  /** Types of keys that stay, and are added to `spared`: nothing holds them but the cache itself. */
  keptTypes: readonly string[]
  spared: Found
  pageKeys: number
}

/** Passes over the whole database; an application that writes new keys all the time would keep it busy for ever. */
const passes = 20

/**
 * Counts the keys that the backup does not hold, and deletes them if the restore is to be exact. Passes are repeated until
 * one finds nothing new, because a scan need not show keys that come during it.
 * @returns `extra`: those that stay; `deleted`: those that are gone
 * @throws StoreUnavailable, NotPermitted
 */
export async function settleExtras(
  cache: BinaryRedis,
  { match, includes, isLeftover, known, exact, keptTypes, spared, pageKeys }: ExtraKeys,
): Promise<{ extra: number; deleted: number }> {
  let [extra, deleted] = [0, 0]
  for (let pass = 1; pass <= passes; pass++) {
    let found = 0
    for await (const page of scanKeys(cache, { match, count: pageKeys })) {
      const leftovers = page.filter(isLeftover)
      const extras = page.filter((key) => includes(key) && !isLeftover(key) && known.add(key))
      found += extras.length
      const kept = exact ? await keysOfTypes(cache, extras, keptTypes) : []
      for (const key of kept) spared.add(key)
      const doomed = exact ? extras.filter((key) => !kept.includes(key)) : []
      await cache.ask(unlink(leftovers))
      const gone = await deleteKeys(cache, doomed)
      deleted += gone
      extra += extras.length - gone
    }
    if (!exact || found === 0) break
  }
  return { extra, deleted }
}

/** How many of the keys are gone. Where Redis deleted fewer than it was asked to, it is asked what is there. */
async function deleteKeys(cache: BinaryRedis, keys: readonly Buffer[]): Promise<number> {
  const deleted = sumOf(await cache.ask(unlink(keys)))
  if (deleted === keys.length) return deleted
  return keys.length - sumOf(await cache.ask(keys.map((key) => command('EXISTS', key))))
}

function sumOf(replies: readonly Reply[]): number {
  return replies.reduce<number>((sum, reply) => sum + asNumber(reply), 0)
}

/** Which of the keys have one of the types. */
export async function keysOfTypes(
  cache: BinaryRedis,
  keys: readonly Buffer[],
  types: readonly string[],
): Promise<Buffer[]> {
  if (types.length === 0 || keys.length === 0) return []
  const found = await cache.ask(keys.map((key) => command('TYPE', key)))
  return keys.filter((_, index) => types.includes(asText(found[index])))
}
