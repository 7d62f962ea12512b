import type { RangedPart } from '../../backup/ranges/range.ts'
import { readRangesOf } from '../../backup/ranges/sidecar.ts'
import type { BackedUpTable } from '../../backup/sections/database.ts'
import type { Connection } from '../../postgres/connection.ts'
import { ownSearchPath, pinnedSearchPath } from '../../postgres/search-path.ts'
import type { Bucket } from '../../s3/bucket.ts'
import type { Groups } from './groups.ts'
import { RangeCounts } from './matching.ts'
import {
  framesOf,
  groupHashes,
  rangedPartsOf,
  type StoredParts,
  storeHashes,
  tablesFor,
  type WantedFrames,
} from './stored-hashes.ts'

/** A table in two backups. */
export type HeldPair = { before: BackedUpTable; after: BackedUpTable }

/** As Groups, of a table in two backups: rows that are too many in the later one lie in frames as well. */
export type HeldGroups = Omit<Groups, 'now'> & { later: StoredParts; surplusFrames: WantedFrames[] }

/**
 * Compares a table in two backups row by row, as multisets, by the hashes that lie beside its parts: no part is read. Of both
 * only those ranges are looked at of which the other has none with the same sum. In a transaction that may write.
 * Memory: the ranges of the parts that only one of them has, and the hashes of one part.
 * @throws NotComparable for a part without ranges; BackupDamaged
 * @see docs/decisions.md#two-backups-are-compared-without-their-parts
 */
export async function findHeldGroups(
  connection: Connection,
  bucket: Bucket,
  { before, after }: HeldPair,
): Promise<HeldGroups> {
  const [then, now] = withoutCommon(before, after)
  const name = (of: string) => `pg_temp.difference_${of}_${before.oid}`
  const stored = { stored: name('stored'), frames: name('frames'), parts: then }
  const later = { stored: name('later'), frames: name('later_frames'), parts: now }
  const groups = name('groups')
  await connection.query(`${pinnedSearchPath}; ${tablesFor(stored)}; ${tablesFor(later)}`)
  const ranges = new RangeCounts()
  for (const part of now)
    for (const range of await readRangesOf(bucket, part)) if (range.rows > 0) ranges.add(range)
  await storeHashes(connection, bucket, {
    into: stored,
    isElsewhere: (range) => ranges.take(range),
  })
  // What is counted still is what the earlier one lacks.
  await storeHashes(connection, bucket, {
    into: later,
    isElsewhere: (range) => !ranges.take(range),
  })
  const sums = await groupHashes(connection, { groups, now: later.stored, stored: stored.stored })
  const frames = await framesOf(connection, stored, groups)
  const surplusFrames = await framesOf(connection, later, groups)
  await connection.query(ownSearchPath)
  return { groups, ...sums, stored, frames, later, surplusFrames }
}

/** The parts of both, without those that hold the same rows. */
function withoutCommon(before: BackedUpTable, after: BackedUpTable): [RangedPart[], RangedPart[]] {
  const parts = new RangeCounts()
  for (const part of after.parts) if (part.rows > 0) parts.add(part)
  const then = before.parts.filter((part) => part.rows > 0 && !parts.take(part))
  const now = after.parts.filter((part) => part.rows > 0 && parts.take(part))
  return [rangedPartsOf(before, then), rangedPartsOf(after, now)]
}
