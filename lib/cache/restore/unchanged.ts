import type { BinaryRedis } from '../../redis/binary-redis.ts'
import type { KeyDigests } from '../key-digests.ts'
import { ValueDigest } from '../value/digest.ts'
import { liveDigests } from '../value/live-digests.ts'
import type { DecodedLine } from '../value/part-lines.ts'

/**
 * Those of some keys, by their first lines, that the cache holds already as they would be written: with their type, value and
 * expiry. What cannot be compared is none of them: what is too large, a stream of which somebody consumes, and any key
 * of a server that does not tell when keys expire.
 * @param large the digests of keys of several lines, with `counters`
 * @throws StoreUnavailable, NotPermitted
 * @see docs/decisions.md#a-key-that-is-as-in-the-backup-is-not-written
 */
export async function unchangedAmong(
  cache: BinaryRedis,
  lines: readonly DecodedLine[],
  { exactExpiry, large }: { exactExpiry: boolean; large: KeyDigests },
): Promise<Set<DecodedLine>> {
  if (!exactExpiry || lines.length === 0) return new Set()
  const keys = lines.map(({ key }) => key)
  const live = await liveDigests(cache, keys, { counters: true })
  return new Set(
    lines.filter((line) => {
      const digest = live.get(line.key)
      return typeof digest === 'string' && digest === (line.whole ? digestOf(line) : large.get(line.key))
    }),
  )
}

function digestOf({ type, items, stream, expiresAt }: DecodedLine): string {
  const digest = new ValueDigest(type, true)
  digest.add(items, stream)
  return digest.end(expiresAt)
}
