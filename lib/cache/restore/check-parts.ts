import { agreeing, counted } from '../../amounts.ts'
import { InvalidConfiguration } from '../../errors.ts'
import type { BinaryRedis } from '../../redis/binary-redis.ts'
import type { Bucket } from '../../s3/bucket.ts'
import { addDigests } from '../export/backup-digests.ts'
import { KeyTally } from '../findings.ts'
import { KeyDigests } from '../key-digests.ts'
import { isOwn, keyScope } from '../keys.ts'
import type { ExpiryKnown } from '../value/expiry.ts'
import type { Part } from '../value/part-lines.ts'
import { asWritten } from './fields.ts'
import { serverTime } from './keys.ts'
import { Repetitions } from './repetitions.ts'

/**
 * Reads all parts to their ends before anything is made of them.
 * @returns the keys that they hold more than once, and the digests of those of several lines, of which each is written as it comes
 * @throws BackupDamaged; InvalidConfiguration when they hold keys outside `prefix`
 */
export async function checkParts(
  { bucket, cache }: { bucket: Bucket; cache: BinaryRedis },
  parts: readonly Part[],
  { prefix, expiry: { exact, ofFields } }: { prefix: string; expiry: ExpiryKnown },
): Promise<{ repetitions: Repetitions; large: KeyDigests }> {
  const scope = keyScope(prefix)
  const repetitions = new Repetitions()
  const outside = new KeyTally()
  const large = new KeyDigests()
  const now = await serverTime(cache)
  await addDigests(bucket, {
    ...{ parts, digests: large, exact, counters: true },
    asRestored: (line) => asWritten(line, { now, ofFields }),
    leavesOut({ key, whole }) {
      repetitions.note(key)
      if (!scope.includes(key) && !isOwn(key)) outside.add(key)
      return whole
    },
  })
  if (outside.count === 0) return { repetitions, large }
  throw new InvalidConfiguration(
    `The backup holds ${counted(outside.count, 'cache key')} that ${agreeing(outside.count, 'does', 'do')} not begin with CACHE_PREFIX, "${prefix}": ${outside.names()}. No key was restored. Set CACHE_PREFIX to what it was when the backup was made`,
  )
}
