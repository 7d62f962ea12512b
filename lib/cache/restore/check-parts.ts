import { agreeing, counted } from '../../amounts.ts'
import { InvalidConfiguration } from '../../errors.ts'
import type { BinaryRedis } from '../../redis/binary-redis.ts'
import type { Bucket } from '../../s3/bucket.ts'
import type { Touched } from '../../store/selection.ts'
import { addDigests } from '../export/backup-digests.ts'
import { KeyTally } from '../findings.ts'
import { KeyDigests } from '../key-digests.ts'
import { isOwn, keyScope, preservedBy, touches } from '../keys.ts'
import { type ExpiryKnown, serverTime } from '../value/expiry.ts'
import type { Part } from '../value/part-lines.ts'
import { later } from '../value/time-to-live.ts'
import { asWritten } from './fields.ts'
import { Repetitions } from './repetitions.ts'

/**
 * Reads all parts to their ends before anything is made of them.
 * @param asked.touched which keys are dealt with; others may be anything
 * @returns the keys that they hold more than once, those of the patterns of `touched.only` that match none, and the digests of those of several lines, of which each is written as it comes
 * @throws BackupDamaged; InvalidConfiguration when they hold keys outside `prefix`
 */
export async function checkParts(
  { bucket, cache }: { bucket: Bucket; cache: BinaryRedis },
  parts: readonly Part[],
  {
    prefix,
    touched,
    shift,
    expiry: { exact, ofFields },
  }: { prefix: string; touched: Touched; shift: number; expiry: ExpiryKnown },
): Promise<{ repetitions: Repetitions; large: KeyDigests; unmatched: string[] }> {
  const isTouched = touches(touched)
  const patterns = touched.only ?? []
  const patternsOf = preservedBy(patterns)
  const matched = new Set<number>()
  const scope = keyScope(prefix)
  const repetitions = new Repetitions()
  const outside = new KeyTally()
  const large = new KeyDigests()
  const now = await serverTime(cache)
  await addDigests(bucket, {
    ...{ parts, digests: large, exact, counters: true },
    asRestored: (line) => asWritten(later(line, shift), { now, ofFields }),
    leavesOut({ key, whole }) {
      repetitions.note(key)
      for (const pattern of patternsOf(key)) matched.add(pattern)
      if (!isTouched(key)) return true
      if (!scope.includes(key) && !isOwn(key)) outside.add(key)
      return whole
    },
  })
  const unmatched = patterns.filter((_, index) => !matched.has(index))
  if (outside.count === 0) return { repetitions, large, unmatched }
  throw new InvalidConfiguration(
    `The backup holds ${counted(outside.count, 'cache key')} that ${agreeing(outside.count, 'does', 'do')} not begin with CACHE_PREFIX, "${prefix}": ${outside.names()}. No key was restored. Set CACHE_PREFIX to what it was when the backup was made`,
  )
}
