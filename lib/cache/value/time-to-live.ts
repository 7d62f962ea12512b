import * as z from 'zod'
import { findJson } from '../../backup/documents/read.ts'
import { putJson } from '../../backup/documents/write.ts'
import { writeOnce } from '../../backup/documents/write-once.ts'
import { workKeys } from '../../backup/layout.ts'
import type { Manifest } from '../../backup/manifest.ts'
import type { RunRef } from '../../ledger/run-ref.ts'
import type { BinaryRedis } from '../../redis/binary-redis.ts'
import type { Bucket } from '../../s3/bucket.ts'
import { lastMoment, serverTime } from './expiry.ts'
import { expiryOf } from './field-expiry.ts'
import type { Item } from './pages.ts'
import type { DecodedLine } from './part-lines.ts'

/**
 * From when on the time to live of a backup's keys counts again. `relative`: they get what they had when they were exported;
 * of an older backup only its beginning is known. null: each ends when it would have ended.
 */
export function aliveFromOf(
  { cache, startedAt }: Pick<Manifest, 'cache' | 'startedAt'>,
  ttl: 'relative' | 'absolute' | undefined,
): string | null {
  return ttl === 'relative' ? (cache?.exportedAt ?? startedAt) : null
}

const Shift = z.strictObject({ milliseconds: z.number().int().nonnegative() })

/**
 * By how many milliseconds the moments at which keys expire lie later in a restore. The first invocation of a step takes it,
 * and its repeats find it: with one of their own they would take what they wrote before for something else.
 * @param aliveFrom as aliveFromOf gives it
 * @see docs/decisions.md#time-to-live-counts-from-the-export-once-for-a-run
 */
export async function shiftOf(
  { bucket, cache }: { bucket: Bucket; cache: BinaryRedis },
  run: RunRef,
  aliveFrom: string,
): Promise<number> {
  const key = workKeys(run).cacheShift
  const find = () => findJson(bucket, key, Shift)
  const earlier = await find()
  if (earlier !== undefined) return earlier.milliseconds
  const mine = { milliseconds: shiftAt(await serverTime(cache), aliveFrom) }
  const first = await writeOnce(mine, (options) => putJson(bucket, key, mine, options), find)
  return first.milliseconds
}

/** Never earlier: the clock of another server may be behind. */
export function shiftAt(now: number, aliveFrom: string): number {
  return Math.max(0, now - Date.parse(aliveFrom))
}

/** The last moment that Redis takes for a field of a hash. */
const lastOfFields = 2 ** 48 - 2

/** The line of a key of which all that expires does so later. */
export function later(line: DecodedLine, shift: number): DecodedLine {
  if (shift === 0) return line
  const expiresAt = line.expiresAt && Math.min(line.expiresAt + shift, lastMoment)
  const items = line.type === 'hash' ? line.items.map((item) => laterField(item, shift)) : line.items
  return { ...line, expiresAt, items }
}

function laterField(item: Item, shift: number): Item {
  const expiresAt = expiryOf(item)
  if (expiresAt === null) return item
  const then = Math.min(expiresAt + shift, Math.max(expiresAt, lastOfFields))
  return [...(item as Buffer[]).slice(0, 2), Buffer.from(String(then))]
}
