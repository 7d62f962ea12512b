import { isRanged, type RangedPart } from '../../backup/ranges/range.ts'
import { readSidecar } from '../../backup/ranges/sidecar.ts'
import type { BackedUpTable, TablePart } from '../../backup/sections/database.ts'
import { NotComparable } from '../../errors.ts'
import type { Connection } from '../../postgres/connection.ts'
import type { Bucket } from '../../s3/bucket.ts'
import { copyHashes, type StoredRange } from './copy-hashes.ts'
import type { RangeSum } from './matching.ts'

/** Frames of a part, each by its place in the object. */
export type WantedFrames = { part: RangedPart; wanted: { offset: number; length: number }[] }

/** Of a backup's rows: TEMP tables of their hashes, each with the number of its frame, and of the frames. */
export type Stored = { stored: string; frames: string }

/** The same, with the parts as their hashes were stored: a frame names its part by its place among them. */
export type StoredParts = Stored & { parts: readonly RangedPart[] }

/** @throws NotComparable for a part without ranges */
export function rangedPartsOf(
  { name }: Pick<BackedUpTable, 'name'>,
  parts: readonly TablePart[],
): RangedPart[] {
  return parts.map((part) => {
    if (isRanged(part)) return part
    throw new NotComparable(
      `The rows of ${name} in the backup cannot be compared with others: it was made before backups kept the hashes of their rows. Take a backup now, and compare with that one from then on`,
    )
  })
}

export function tablesFor({ stored, frames }: Stored): string {
  return `CREATE TEMP TABLE ${stored} (hash int8, frame int4) ON COMMIT DROP;
     CREATE TEMP TABLE ${frames} (frame int4, part int4, start int8, length int8) ON COMMIT DROP`
}

/**
 * Stores the hashes of all ranges of these parts that the other side lacks. Memory: the ranges and hashes of one part.
 * @param asked.isElsewhere whether the other side has such a range; asked once for each that has rows
 * @throws BackupDamaged
 */
export async function storeHashes(
  connection: Connection,
  bucket: Bucket,
  { into, isElsewhere }: { into: StoredParts; isElsewhere: (range: RangeSum) => boolean },
): Promise<void> {
  let frames = 0
  for (const [number, part] of into.parts.entries()) {
    const { ranges: stored, hashes } = await readSidecar(bucket, part)
    const missing: StoredRange[] = []
    let [start, row] = [0, 0]
    for (const range of stored) {
      const { rows, length } = range
      if (rows > 0 && !isElsewhere(range)) missing.push({ frame: frames++, start, row, rows, length })
      start += length
      row += rows
    }
    await copyHashes(connection, into, { part: number, ranges: missing, hashes })
  }
}

/** Makes the table of the groups out of two with a `hash` for each row. With pg_catalog on the search path. */
export async function groupHashes(
  connection: Connection,
  { groups, now, stored }: { groups: string; now: string; stored: string },
): Promise<{ surplus: number; missing: number }> {
  await connection.query(
    `CREATE TEMP TABLE ${groups} ON COMMIT DROP AS SELECT hash, sum(n)::int8 AS surplus
       FROM (SELECT hash, 1 AS n FROM ${now} UNION ALL SELECT hash, -1 FROM ${stored}) AS rows
       GROUP BY hash HAVING sum(n) <> 0;
     ANALYZE ${groups}; ANALYZE ${now}; ANALYZE ${stored}`,
  )
  const sums = await connection.query(
    `SELECT coalesce(sum(surplus) FILTER (WHERE surplus > 0), 0)::text AS surplus,
       coalesce(-sum(surplus) FILTER (WHERE surplus < 0), 0)::text AS missing FROM ${groups}`,
  )
  return { surplus: Number(sums.rows[0]?.surplus), missing: Number(sums.rows[0]?.missing) }
}

/** The frames that hold all rows of these groups. */
export async function framesOf(
  connection: Connection,
  { stored, frames, parts }: StoredParts,
  groups: string,
): Promise<WantedFrames[]> {
  const wanted = await connection.query(
    `SELECT part, start::text AS offset, length::text AS length FROM ${frames}
     WHERE frame IN (SELECT frame FROM ${stored} JOIN ${groups} USING (hash)) ORDER BY part, start`,
  )
  return [...Map.groupBy(wanted.rows, ({ part }) => part as number)].map(([number, rows]) => ({
    part: parts[number] as RangedPart,
    wanted: rows.map(({ offset, length }) => ({ offset: Number(offset), length: Number(length) })),
  }))
}
