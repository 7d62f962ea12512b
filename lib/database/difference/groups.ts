import { pagesInRange } from '../../backup/ranges/range.ts'
import type { BackedUpTable } from '../../backup/sections/database.ts'
import type { FingerprintFormat } from '../../backup/sections/fingerprint.ts'
import type { Connection } from '../../postgres/connection.ts'
import { ownSearchPath, pinnedSearchPath } from '../../postgres/search-path.ts'
import type { Bucket } from '../../s3/bucket.ts'
import type { TableRanges } from '../ranges.ts'
import { hashesOf, type PageRange, type Rows, rowsOf } from '../rows.ts'
import { LiveRanges } from './matching.ts'
import {
  framesOf,
  groupHashes,
  rangedPartsOf,
  type StoredParts,
  storeHashes,
  tablesFor,
  type WantedFrames,
} from './stored-hashes.ts'

/**
 * In which rows a live table and its backup differ, as groups of rows with the same hash: of such a group one of the two has
 * more than the other. The tables are TEMP, and go with the transaction.
 */
export type Groups = {
  /** `hash` and `surplus`: so many rows more in the live table; below zero, in the backup. */
  groups: string
  /** `hash` and `tid` of the live rows that were looked at: all of the groups are among them. */
  now: string
  /** Rows that are too many in the live table, and those that it lacks. */
  surplus: number
  missing: number
  /** The rows of the backup that were looked at. */
  stored: StoredParts
  /** What holds all rows of the groups in the backup. */
  frames: WantedFrames[]
}

/**
 * Compares a live table with its backup row by row, as multisets. Of both only those ranges are looked at of which the
 * other has none with the same sum.
 * In a transaction that may write, sees one moment (a snapshot, or locks) and has the role's own search path.
 * Memory: the ranges of the table, and the ranges and hashes of one part.
 * @param asked.live the ranges of the live table at that moment
 * @throws NotComparable for a part without ranges; BackupDamaged
 * @see docs/decisions.md#a-difference-is-made-of-groups-of-rows-with-one-hash
 */
export async function findGroups(
  connection: Connection,
  bucket: Bucket,
  { table, live, format }: { table: BackedUpTable; live: TableRanges; format: FingerprintFormat },
): Promise<Groups> {
  const names = namesOf(table)
  const ranges = new LiveRanges(live, pagesInRange)
  const others = table.parts.filter((part) => part.rows > 0 && !ranges.takePart(part))
  const stored = { ...names, parts: rangedPartsOf(table, others) }
  await connection.query(`${pinnedSearchPath}; ${tablesFor(stored)}`)
  await storeHashes(connection, bucket, {
    into: stored,
    isElsewhere: (range) => ranges.takeRange(range),
  })
  await connection.query(ownSearchPath)
  await hashLive(connection, { name: names.now, table, pages: ranges.left(), format })
  await connection.query(pinnedSearchPath)
  const sums = await groupHashes(connection, names)
  const frames = await framesOf(connection, stored, names.groups)
  await connection.query(ownSearchPath)
  return { ...names, ...sums, stored, frames }
}

/** By number: several tables are looked at in one transaction. */
function namesOf({ oid }: Pick<BackedUpTable, 'oid'>) {
  const name = (of: string) => `pg_temp.difference_${of}_${oid}`
  return { now: name('now'), stored: name('stored'), frames: name('frames'), groups: name('groups') }
}

async function hashLive(
  connection: Connection,
  asked: { name: string; table: Rows; pages: PageRange[]; format: FingerprintFormat },
): Promise<void> {
  // The role's own search path comes back behind a table that changed it, see rowsOf.
  await connection.query(`${textOfHashing(asked)}; ${ownSearchPath}`)
}

/**
 * The statement that makes the table of hashes and places. OFFSET 0 keeps the planner from making one join of it, which would read the
 * whole table for each stretch of pages: the bounds of a stretch are those of a scan only where they are parameters.
 */
export function textOfHashing({
  name,
  table,
  pages,
  format,
}: {
  name: string
  table: Rows
  pages: readonly PageRange[]
  format: FingerprintFormat
}): string {
  const tids = (of: (number | null)[]) =>
    `'{${of.map((page) => `"(${page},0)"`).join(',')}}'::pg_catalog.tid[]`
  const within = 'r.ctid >= run.low AND r.ctid < run.high'
  return `CREATE TEMP TABLE ${name} ON COMMIT DROP AS SELECT found.hash, found.tid
     FROM ROWS FROM (pg_catalog.unnest(${tids(pages.map(({ from }) => from))}), pg_catalog.unnest(${tids(pages.map(({ to }) => to))})) AS run (low, high)
     CROSS JOIN LATERAL (${hashesOf(rowsOf(table, format, null, within), format)} OFFSET 0) AS found`
}
