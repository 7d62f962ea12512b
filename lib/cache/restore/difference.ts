import type { CacheSection } from '../../backup/sections/cache.ts'
import type { Clients } from '../../clients.ts'
import { scanKeys } from '../../redis/scan.ts'
import { everything, isEverything, type Touched } from '../../store/selection.ts'
import { addDigests } from '../export/backup-digests.ts'
import { compareDigests, KeyDigests } from '../key-digests.ts'
import { KeySet } from '../key-set.ts'
import { keyScope, touches } from '../keys.ts'
import type { CacheDifference } from '../schema/difference.ts'
import { readExpiryKnown, serverTime } from '../value/expiry.ts'
import { liveDigests } from '../value/live-digests.ts'
import { later, shiftAt } from '../value/time-to-live.ts'
import { asWritten, isExpired } from './fields.ts'

/** Keys asked for per SCAN. */
const pageKeys = 5_000

/**
 * What became of the keys since a backup: the digests of its lines beside those that the server makes of its values, as a
 * restore has them, so that it would write what is told as changed. A cache has no moment: each key counts as it is when it is read. Memory: 32 to 65 bytes per key.
 * @param asked.touched which keys are looked at, and counted
 * @param asked.aliveFrom as in a restore
 * @param asked.signal ends it before the next page
 * @throws BackupDamaged, StoreUnavailable, NotPermitted
 */
export async function diffCache(
  { backups, cache, config, now }: Pick<Clients, 'backups' | 'cache' | 'config' | 'now'>,
  {
    held,
    touched = everything,
    aliveFrom = null,
    signal,
  }: {
    held: CacheSection
    touched?: Touched | undefined
    aliveFrom?: string | null
    signal?: AbortSignal
  },
  progress: (done: number, total: number) => Promise<void>,
): Promise<CacheDifference> {
  const isTouched = touches(touched)
  const shift = aliveFrom === null ? 0 : shiftAt(await serverTime(cache), aliveFrom)
  const { digests, expired } = await digestsAt({ backups, cache }, held, { at: now(), isTouched, shift })
  const before = isEverything(touched) ? held.keys : digests.size + expired
  const scope = keyScope(config.CACHE_PREFIX)
  const seen = new KeySet()
  const difference = { before, now: 0, extra: 0, missing: 0, changed: 0, expired, uncompared: 0 }
  let found = 0
  for await (const page of scanKeys(cache, { match: scope.match, count: pageKeys })) {
    signal?.throwIfAborted()
    const keys = page.filter((key) => scope.includes(key) && isTouched(key) && seen.add(key))
    for (const [key, digest] of await liveDigests(cache, keys, { counters: true })) {
      difference.now++
      const then = digests.get(key)
      if (then !== undefined) found++
      if (then === undefined) difference.extra++
      else if (digest === null) difference.uncompared++
      else if (digest !== then) difference.changed++
    }
    await progress(difference.now, Math.max(difference.now, held.keys))
  }
  await progress(difference.now, difference.now)
  return { ...difference, missing: digests.size - found }
}

/**
 * The same between two backups, by the digests of the lines of both. Keys whose time is up are in neither. Memory: as
 * diffCache, for the keys of both.
 * @throws BackupDamaged, StoreUnavailable
 */
export async function diffHeldCaches(
  { backups, cache, now }: Pick<Clients, 'backups' | 'cache' | 'now'>,
  { before, after, signal }: { before: CacheSection; after: CacheSection; signal?: AbortSignal },
  progress: (done: number, total: number) => Promise<void>,
): Promise<CacheDifference> {
  const at = now()
  const total = before.keys + after.keys
  const { digests, expired } = await digestsAt({ backups, cache }, before, { at })
  signal?.throwIfAborted()
  await progress(before.keys, total)
  const later = await digestsAt({ backups, cache }, after, { at })
  await progress(total, total)
  const compared = compareDigests(digests, later.digests)
  return { before: before.keys, now: after.keys, ...compared, expired, uncompared: 0 }
}

/** The digests of a backup's keys as a restore would write them then, but of those that have expired. */
async function digestsAt(
  { backups, cache }: Pick<Clients, 'backups' | 'cache'>,
  { keys, parts }: CacheSection,
  {
    at,
    isTouched = () => true,
    shift = 0,
  }: { at: Date; isTouched?: (key: Buffer) => boolean; shift?: number },
): Promise<{ digests: KeyDigests; expired: number }> {
  const digests = new KeyDigests(keys)
  const { exact, ofFields } = await readExpiryKnown(cache)
  const now = at.getTime()
  let expired = 0
  await addDigests(backups, {
    ...{ parts, digests, exact, counters: true },
    asRestored: (line) => asWritten(later(line, shift), { now, ofFields }),
    leavesOut(head) {
      if (!isTouched(head.key)) return true
      const isOver = isExpired(later(head, shift), now)
      if (isOver) expired++
      return isOver
    },
  })
  return { digests, expired }
}
