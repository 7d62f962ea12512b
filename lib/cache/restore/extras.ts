import type { Fence } from '../../ledger/fence.ts'
import type { BinaryRedis } from '../../redis/binary-redis.ts'
import { command } from '../../redis/command.ts'
import { asNumber, asText } from '../../redis/reply.ts'
import { scanKeys } from '../../redis/scan.ts'
import { compareAndUnlink, type KeyFate } from '../compare-and-unlink.ts'
import type { KeyTally } from '../findings.ts'
import type { KeySet } from '../key-set.ts'
import { replaceTries, type SafetyBackup } from './safety-backup.ts'
import { unfinishedMs } from './script.ts'

type ExtraKeys = {
  match: string | undefined
  /** Whether a key is ours to deal with. */
  includes: (key: Buffer) => boolean
  /** What the names of temporary keys begin with. Those that a restore left which did not end go in any case. */
  temporary: Buffer
  /** The keys of the backup. Those that are found beside them are added. */
  known: KeySet
  exact: boolean
  /** Types of keys that stay, and are added to `spared`: nothing holds them but the cache itself. */
  keptTypes: readonly string[]
  spared: KeyTally
  /** What looks after the values that are deleted; null: they need not be in a backup. */
  safety: SafetyBackup | null
  pageKeys: number
}

type Settling = { cache: BinaryRedis; fence: Fence }

/** Passes over the whole database; an application that writes new keys all the time would keep it busy for ever. */
const passes = 20

/**
 * Counts the keys that the backup does not hold, and deletes them if the restore is to be exact. Passes are repeated until
 * one finds nothing new, because a scan need not show keys that come during it.
 * @returns `extra`: those that stay; `deleted`: those that are gone
 * @throws RunLost, StoreUnavailable, NotPermitted
 */
export async function settleExtras(
  tools: Settling,
  asked: ExtraKeys,
): Promise<{ extra: number; deleted: number }> {
  const { match, includes, known, exact, spared, pageKeys } = asked
  let [extra, deleted] = [0, 0]
  for (let pass = 1; pass <= passes; pass++) {
    let found = 0
    for await (const page of scanKeys(tools.cache, { match, count: pageKeys })) {
      const leftovers = await clearLeftovers(tools, { page, temporary: asked.temporary })
      const extras = page.filter((key) => includes(key) && !leftovers.includes(key) && known.add(key))
      found += extras.length
      const fates = exact ? await deleteKeys(tools, extras, asked) : new Map<Buffer, KeyFate>()
      for (const [key, fate] of fates) if (fate === 'kept') spared.add(key)
      const gone = [...fates.values()].filter((fate) => fate === 'deleted' || fate === 'absent').length
      deleted += gone
      extra += extras.length - gone
    }
    if (!exact || found === 0) break
  }
  return { extra, deleted }
}

/** Deletes what is in the safety backup, to which it adds first what changed since. */
async function deleteKeys(
  { cache, fence }: Settling,
  keys: readonly Buffer[],
  { keptTypes, safety }: ExtraKeys,
): Promise<Map<Buffer, KeyFate>> {
  const expected = (key: Buffer) => (safety === null ? '*' : (safety.digestOf(key) ?? ''))
  const settled = new Map<Buffer, KeyFate>()
  let wanted = keys
  for (let attempt = 1; wanted.length > 0; attempt++) {
    const { fates } = await compareAndUnlink(cache, fence, {
      keys: wanted,
      expected,
      quarantine: null,
      keptTypes,
    })
    for (const [key, fate] of fates) {
      settled.set(key, fate)
      if (fate === 'unclear') safety?.left.add(key)
    }
    wanted = wanted.filter((key) => fates.get(key) === 'changed')
    if (wanted.length === 0 || safety === null) break
    const left = wanted.filter((key) => attempt > replaceTries || !safety.mayBackUp(key))
    for (const key of left) safety.left.add(key)
    wanted = wanted.filter((key) => !left.includes(key))
    await safety.backUp(wanted)
  }
  return settled
}

/** Unfinished values of a restore that did not end. They have little time to live; a key that has more is somebody else's. */
async function clearLeftovers(
  { cache, fence }: Settling,
  { page, temporary }: { page: readonly Buffer[]; temporary: Buffer },
): Promise<Buffer[]> {
  const named = page.filter((key) => key.subarray(0, temporary.length).equals(temporary))
  if (named.length === 0) return []
  const times = await cache.ask(named.map((key) => command('PTTL', key)))
  const leftovers = named.filter((_, index) => {
    const time = asNumber(times[index])
    return time === -2 || (time >= 0 && time <= unfinishedMs)
  })
  await compareAndUnlink(cache, fence, {
    keys: leftovers,
    expected: () => '*',
    quarantine: null,
    keptTypes: [],
  })
  return leftovers
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
