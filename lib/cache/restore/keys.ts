import type { Fence } from '../../ledger/fence.ts'
import type { BinaryRedis } from '../../redis/binary-redis.ts'
import type { Bucket } from '../../s3/bucket.ts'
import type { KeyTally } from '../findings.ts'
import type { KeyDigests } from '../key-digests.ts'
import { KeySet } from '../key-set.ts'
import { type ExpiryKnown, serverTime } from '../value/expiry.ts'
import { expiryOf } from '../value/field-expiry.ts'
import { type DecodedLine, type Part, readLines } from '../value/part-lines.ts'
import { later } from '../value/time-to-live.ts'
import { keysOfTypes } from './extras.ts'
import { asWritten, isExpired, isOver } from './fields.ts'
import type { Repetitions } from './repetitions.ts'
import type { SafetyBackup } from './safety-backup.ts'
import { unchangedAmong } from './unchanged.ts'
import { CacheWriter, type WriteLimits } from './writer.ts'

type PageLimits = { lines: number; linesBytes: number }

type KeysToWrite = {
  parts: readonly Part[]
  /** Of the keys of the parts. */
  repetitions: Repetitions
  /** See unchangedAmong. */
  large: KeyDigests
  /** Whether a key is ours to deal with. */
  includes: (key: Buffer, expiresAt: number | null) => boolean
  /** See shiftOf. */
  shift: number
  /** What the names of temporary keys begin with. */
  temporary: string
  fence: Fence
  expiry: ExpiryKnown
  /** What looks after the values that are replaced; null: they need not be in a backup. */
  safety: SafetyBackup | null
  /** Types of live keys that are not replaced, and are added to `spared`. */
  keptTypes: readonly string[]
  spared: KeyTally
}

type WrittenKeys = {
  known: KeySet
  keys: number
  unchanged: number
  expired: number
  fieldsExpired: number
  fieldsKept: number
}

/**
 * Writes every key of the parts whose time is not up, without the fields of hashes whose own time is, unless the cache holds
 * it already as it would be written.
 * @returns `known`: the keys of the backup that exist now, `keys` of which were written and `unchanged` were not; `fieldsExpired`:
 *   fields left out, and `fieldsKept`: those that are there without the time at which they would expire, which the server cannot keep
 * @throws BackupDamaged, RunLost, StoreUnavailable, NotPermitted
 */
export async function writeKeys(
  { bucket, cache }: { bucket: Bucket; cache: BinaryRedis },
  { parts, includes, repetitions, large, shift, keptTypes, spared, ...to }: KeysToWrite,
  progress: (done: number) => Promise<void>,
  limits: WriteLimits & PageLimits,
): Promise<WrittenKeys> {
  const writer = new CacheWriter(cache, { ...to, limits })
  const known = new KeySet()
  const now = await serverTime(cache)
  const { exact: exactExpiry, ofFields } = to.expiry
  let [keys, unchanged, expired, done] = [0, 0, 0, 0]
  const fields = { expired: 0, kept: 0 }

  /** The line as it can be written now. */
  function written(line: DecodedLine): DecodedLine {
    const restored = asWritten(line, { now, ofFields })
    if (restored === line) return line
    const left = line.items.filter((item) => !isOver(item, now))
    fields.expired += line.items.length - left.length
    if (!ofFields) fields.kept += left.filter((item) => expiryOf(item) !== null).length
    return restored
  }

  function isWanted(line: DecodedLine, kept: readonly Buffer[]): boolean {
    const { key, type, items, expiresAt } = line
    if (repetitions.comesAgain(key) || !includes(key, expiresAt)) return false
    if (items.length === 0 && type !== 'stream') return false // it was emptied while it was read
    if (isExpired(line, now)) {
      expired++
      return false
    }
    known.add(key)
    if (kept.includes(key)) {
      spared.add(key)
      return false
    }
    return true
  }

  let goes: 'nowhere' | 'unchanged' | 'written' = 'nowhere' // what continues a key goes the way of its beginning
  const lines = readLines(bucket, parts)
  for await (const page of inPages(shift === 0 ? lines : linesLater(lines, shift), limits)) {
    const beginnings = page.filter(({ part }) => part === 1)
    const kept = await keysOfTypes(
      cache,
      beginnings.map(({ key }) => key),
      keptTypes,
    )
    const wanted = new Map<DecodedLine, DecodedLine>()
    for (const line of beginnings) if (isWanted(line, kept)) wanted.set(line, written(line))
    await to.fence.check()
    const same = await unchangedAmong(cache, [...wanted.values()], { exactExpiry, large })
    for (const line of page) {
      const beginning = wanted.get(line)
      if (line.part === 1) {
        goes = beginning === undefined ? 'nowhere' : same.has(beginning) ? 'unchanged' : 'written'
        if (goes === 'unchanged') unchanged++
        if (goes === 'written') keys++
      }
      if (goes === 'nowhere') continue
      const restored = beginning ?? written(line)
      if (goes === 'written') await writer.write(restored)
    }
    done += beginnings.length
    await progress(done)
  }
  await writer.end()
  return { known, keys, unchanged, expired, fieldsExpired: fields.expired, fieldsKept: fields.kept }
}

async function* linesLater(lines: AsyncIterable<DecodedLine>, shift: number): AsyncGenerator<DecodedLine> {
  for await (const line of lines) yield later(line, shift)
}

async function* inPages(
  lines: AsyncIterable<DecodedLine>,
  limits: PageLimits,
): AsyncGenerator<DecodedLine[]> {
  let page: DecodedLine[] = []
  let bytes = 0
  for await (const line of lines) {
    page.push(line)
    bytes += line.bytes
    if (page.length < limits.lines && bytes < limits.linesBytes) continue
    yield page
    page = []
    bytes = 0
  }
  if (page.length > 0) yield page
}
