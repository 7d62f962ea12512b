import { agreeing, counted } from '../../amounts.ts'
import type { BackedUpTable } from '../../backup/sections/database.ts'
import type { FingerprintFormat } from '../../backup/sections/fingerprint.ts'
import { BackupDamaged } from '../../errors.ts'
import type { Connection } from '../../postgres/connection.ts'
import { ownSearchPath } from '../../postgres/search-path.ts'
import type { Bucket } from '../../s3/bucket.ts'
import { hashesOf, type Rows, rowsOf } from '../rows.ts'
import type { Groups } from './groups.ts'
import type { HeldGroups } from './held-groups.ts'
import { loadFrames } from './load-frames.ts'
import type { WantedFrames } from './stored-hashes.ts'

export type Looked = { table: BackedUpTable; groups: Groups | HeldGroups; format: FingerprintFormat }

/** TEMP tables with `hash` and `key` of the rows that differ, of either side. */
export type Keys = { then: string; now: string }

/**
 * How many rows of the backup that the other side lacks have the primary key of one that it has too many: these were
 * changed. What holds rows of a backup is read from S3 and loaded into a TEMP table, part by part. In the transaction of
 * findGroups, or findHeldGroups.
 * @param asked.key the names of the columns of the live table's primary key, by which two rows of a backup may be the same
 * @returns no `keys` where none had to be looked at
 */
export async function countChanged(
  connection: Connection,
  bucket: Bucket,
  { key, table, groups, format }: Looked & { key: readonly string[] },
): Promise<{ changed: number; keys: Keys | null }> {
  if (groups.surplus === 0 || groups.missing === 0) return { changed: 0, keys: null }
  const name = (of: string) => `pg_temp.difference_${of}_${table.oid}`
  const [now, then] = [name('keys_now'), name('keys_then')]
  const keysOf = (rows: Rows, tids: string) => keysAt(rows, { key, tids, format })
  const loadKeys = (frames: readonly WantedFrames[], into: string, which: string) =>
    loadFrames(connection, bucket, { table, frames }, async (loaded) => {
      const tids = `SELECT l.hash, l.tid FROM (${hashesOf(rowsOf(loaded, format), format)}) AS l
      JOIN ${groups.groups} AS g USING (hash) WHERE g.surplus ${which}`
      await connection.query(`INSERT INTO ${into} ${keysOf(loaded, tids)}; ${ownSearchPath}`)
    })
  const keys = '(hash pg_catalog.int8, key pg_catalog.text) ON COMMIT DROP'
  await connection.query(`CREATE TEMP TABLE ${now} ${keys}; CREATE TEMP TABLE ${then} ${keys}`)
  if ('now' in groups) {
    const surplus = `SELECT n.hash, n.tid FROM ${groups.now} AS n JOIN ${groups.groups} AS g USING (hash) WHERE g.surplus > 0`
    await connection.query(`INSERT INTO ${now} ${keysOf(table, surplus)}; ${ownSearchPath}`)
  } else await loadKeys(groups.surplusFrames, now, '> 0')
  await loadKeys(groups.frames, then, '< 0')
  const found = await connection.query(
    `SELECT (SELECT coalesce(pg_catalog.sum(least(t.rows, n.rows)), 0)
         FROM (SELECT key, pg_catalog.count(*) AS rows FROM ${then} GROUP BY key) AS t
         JOIN (SELECT key, pg_catalog.count(*) AS rows FROM ${now} GROUP BY key) AS n USING (key))::pg_catalog.text AS changed,
       (SELECT pg_catalog.count(*) FROM ${groups.groups} AS g WHERE NOT EXISTS (SELECT FROM ${then} AS t WHERE t.hash = g.hash)
         AND NOT EXISTS (SELECT FROM ${now} AS n WHERE n.hash = g.hash))::pg_catalog.int4 AS lost`,
  )
  const { changed, lost } = found.rows[0] ?? {}
  if (lost !== 0) throw rowsLost(table, lost)
  return { changed: Math.min(Number(changed), groups.surplus, groups.missing), keys: { then, now } }
}

export function rowsLost({ name }: Pick<BackedUpTable, 'name'>, lost: number): BackupDamaged {
  return new BackupDamaged(
    `${counted(lost, 'row')} of ${name} ${agreeing(lost, 'is', 'are')} not where the backup says: its parts and what it says of their ranges do not agree. Use another backup`,
  )
}

/** Hash and primary key of rows, the key as its record's text, with the columns in the backup's order on either side. */
function keysAt(
  rows: Rows,
  { key, tids, format }: { key: readonly string[]; tids: string; format: FingerprintFormat },
): string {
  const ofKey = { ...rows, columns: rows.columns.filter(({ name }) => key.includes(name)) }
  const record = `SELECT (v.*)::pg_catalog.text AS key ${rowsOf(ofKey, format, null, 'r.ctid = found.tid')}`
  return `SELECT found.hash, k.key FROM (${tids}) AS found CROSS JOIN LATERAL (${record}) AS k`
}
