import { isRanged } from '../../backup/ranges/range.ts'
import type { BackedUpTable } from '../../backup/sections/database.ts'
import { addFingerprints, type FingerprintFormat } from '../../backup/sections/fingerprint.ts'
import { BackupDamaged, BackupIsStale, NotFound } from '../../errors.ts'
import type { Connection } from '../../postgres/connection.ts'
import { qualified, quote } from '../../postgres/identifiers.ts'
import { ownSearchPath, pinnedSearchPath } from '../../postgres/search-path.ts'
import type { Bucket } from '../../s3/bucket.ts'
import { findGroups, type Groups } from '../difference/groups.ts'
import { type RangeSum, sumOf } from '../difference/matching.ts'
import { readRanges, type TableRanges } from '../ranges.ts'
import { fingerprintOf, hashesOf, queryRows, rowsOf } from '../rows.ts'
import { noteOf, scratchSchemaOf, scratchTableOf } from '../scratch/schema.ts'
import type { TablePair } from '../table-pair.ts'
import { stillLooked } from './looked.ts'

/** Of fewer rows all are loaded: to look which differ takes as long. */
const worthwhile = 1000

/**
 * Rows to be taken out and to be put in, together, up to this share of the table's are quicker exchanged than all of it filled anew: measured, with two
 * indexes, 2.0 s of CPU for 10 % of 700,000 rows and 3.8 s for 30 %, and 2.95 s for all of them without what it takes to load them.
 * @see docs/decisions.md#a-restore-touches-the-rows-that-differ
 */
const share = 0.2

/**
 * The largest of a batch, and no more than so many of the whole restore: under its locks six TEMP tables of each are locked as
 * well, which Count has not asked the server's room for. Batches that look at the same time may pass the second.
 */
const atMost = { ofBatch: 16, ofRun: 64 }

/**
 * The tables in which a restore may take single rows out and put others in: those of which the backup has the hashes of its
 * rows. None with generated columns, which are made anew, and none of which the role may not delete rows, or a publication
 * would refuse that: a deferrable key tells it no row, and a row filter or a list of columns may ask for more than the key.
 * And none where `temp_file_limit` bounds what aggregates of their hashes may put aside.
 * @param already how many such tables other batches of the run have
 */
export async function mayDiffer(
  connection: Connection,
  pairs: readonly TablePair[],
  already: number,
): Promise<TablePair[]> {
  const some = pairs.filter(
    ({ table }) =>
      table.rows >= worthwhile &&
      table.columns.every(({ generated }) => generated === '') &&
      table.parts.every((part) => part.key === null || isRanged(part)),
  )
  if (some.length === 0) return []
  // Row filters and lists of columns are of version 15, so they are asked for by name.
  const found = await connection.query(
    `SELECT c.oid::bigint::float8 AS oid FROM pg_class c WHERE c.oid = ANY($1::oid[])
       AND has_database_privilege(current_database(), 'TEMP') AND current_setting('temp_file_limit') = '-1'
       AND has_table_privilege(c.oid, 'DELETE')
       AND (NOT EXISTS (SELECT FROM pg_publication)
         OR ((c.relreplident = 'f' OR (c.relreplident = 'd'
             AND EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND i.indimmediate)))
           AND NOT EXISTS (SELECT FROM pg_publication_rel p
             WHERE (p.prrelid = c.oid OR p.prrelid IN (SELECT relid FROM pg_partition_ancestors(c.oid)))
               AND jsonb_strip_nulls(to_jsonb(p)) ?| ARRAY['prqual', 'prattrs'])))`,
    [some.map(({ live }) => live.oid)],
  )
  const may = new Set(found.rows.map(({ oid }) => oid))
  return some
    .filter(({ live }) => may.has(live.oid))
    .sort((one, other) => other.table.rows - one.table.rows)
    .slice(0, Math.max(0, Math.min(atMost.ofBatch, atMost.ofRun - already)))
}

/** In which rows a table differs, and what all of its rows were when it was looked. */
export type Differing = Groups & { sum: RangeSum; format: FingerprintFormat }

type Looking = { bucket: Bucket; table: BackedUpTable; format: FingerprintFormat }

/** What a table holds now. As for `findDiffering`. */
export async function readLive(
  connection: Connection,
  { table, format }: Pick<Looking, 'table' | 'format'>,
): Promise<TableRanges> {
  await connection.query(ownSearchPath)
  const [live = []] = await readRanges([connection], [{ of: table }], format)
  await connection.query(pinnedSearchPath)
  return live
}

/**
 * In which rows a table differs from the backup; null: in too many, or what the backup says of its ranges is damaged, which its rows
 * need not be. In a transaction that may write and sees one moment; the search path is pinned again afterwards.
 * @param looking.live what it holds at that moment
 */
export async function findDiffering(
  connection: Connection,
  { bucket, table, format, live }: Looking & { live: TableRanges },
): Promise<Differing | null> {
  await connection.query(ownSearchPath)
  const sum = sumOf(live)
  const most = share * table.rows
  // Of a table that was emptied, the hashes of all that is missing need not be read to know that it is too much.
  const groups =
    Math.abs(sum.rows - table.rows) > most
      ? null
      : await findGroups(connection, bucket, { table, live, format }).catch((error: unknown) => {
          if (error instanceof BackupDamaged || error instanceof NotFound) return null
          throw error
        })
  await connection.query(pinnedSearchPath)
  if (groups === null || groups.surplus + groups.missing > most) return null
  return { ...groups, sum, format }
}

/**
 * The same under the locks of the restore; the rows are hashed again unless none was written since they were looked at.
 * @throws BackupIsStale unless the frames that were loaded are those that hold the rows which differ now
 */
export async function stillDiffering(
  connection: Connection,
  { runId, pair, ...source }: Omit<Looking, 'table'> & { runId: string; pair: TablePair },
): Promise<Differing> {
  const { table } = pair
  const looking = { ...source, table }
  const live = (await stillLooked(connection, { runId, pair })) ?? (await readLive(connection, looking))
  const groups = await findDiffering(connection, { ...looking, live })
  const needed = groups?.frames.map(({ part: { key }, wanted: frames }) => noteOf({ key, frames }))
  const found = await connection.query(
    `SELECT key FROM ${quote(scratchSchemaOf(runId))}.loaded WHERE key = ANY($1::text[]) OR left(key, -65) = ANY($1::text[])`,
    [table.parts.flatMap(({ key }) => key ?? [])],
  )
  const loaded = new Set(found.rows.map(({ key }) => key))
  if (groups !== null && needed?.length === loaded.size && needed.every((key) => loaded.has(key)))
    return groups
  throw new BackupIsStale(
    `${table.name} has changed since it was looked in which rows it differs from the backup. Nothing was changed by the restore; it begins again`,
  )
}

/**
 * Takes the live rows out that the backup has not, and leaves in the scratch schema those that are to be put in their
 * place: what was loaded holds others beside them, and is believed in nothing, for each row is hashed again. Rows of one hash are
 * exchanged together.
 */
export async function exchangeRows(
  connection: Connection,
  {
    runId,
    pair: { table, live },
    groups: { format, ...groups },
  }: { runId: string; pair: TablePair; groups: Differing },
): Promise<void> {
  const scratch = scratchTableOf(runId, table)
  const gone = goneOf(table)
  const kept = `pg_temp.restore_kept_${table.oid}`
  await connection.query(
    `CREATE TEMP TABLE ${gone} ON COMMIT DROP AS SELECT n.hash, n.tid FROM ${groups.now} AS n JOIN ${groups.groups} AS g USING (hash);
     ANALYZE ${gone};
     DELETE FROM ONLY ${qualified(live)} AS t USING ${gone} AS g WHERE t.ctid = g.tid;
     CREATE TEMP TABLE ${kept} ON COMMIT DROP AS SELECT l.tid FROM (${hashesOf(rowsOf(scratch, format), format)}) AS l
       JOIN ${groups.groups} AS g USING (hash);
     ${ownSearchPath}; ANALYZE ${kept};
     DELETE FROM ONLY ${qualified(scratch)} AS s WHERE NOT EXISTS (SELECT FROM ${kept} AS k WHERE k.tid = s.ctid)`,
  )
}

/** The rows that were taken out. */
function goneOf({ oid }: BackedUpTable): string {
  return `pg_temp.restore_gone_${oid}`
}

/**
 * In a transaction that has the own search path: the tables of which the backup's rows are known to be there after the exchange without
 * hashing all of them again: what they held under these locks, less what was taken out, and with what the transaction has
 * put in, as it is stored. Whatever else had touched a row, as code of the application that a check or an event trigger
 * calls, would have made another version of it, which its number tells. One statement asks it of all tables.
 * @returns their names; the others are to be compared whole
 * @see docs/decisions.md#a-restore-touches-the-rows-that-differ
 */
export async function provedBySums(
  connection: Connection,
  pairs: readonly TablePair[],
  differing: ReadonlyMap<string, Differing>,
): Promise<Set<string>> {
  const tables = pairs.map(({ table }) => table).filter(({ name }) => differing.has(name))
  if (tables.length === 0) return new Set()
  // In a savepoint, or a function's own, a transaction has further numbers, and all are higher than its first one.
  const isOwn = 'pg_catalog.age(r.xmin) OPERATOR(pg_catalog.<=) 0'
  const selects = tables.map((table, at) => {
    const { format } = differing.get(table.name) as Differing
    const gone = `(SELECT coalesce(-pg_catalog.sum(hash), 0)::pg_catalog.text FROM ${goneOf(table)})`
    return `SELECT ${at} AS at, f.*, ${gone} AS gone FROM (${fingerprintOf(rowsOf(table, format), format, isOwn)}) AS f`
  })
  const answers = await queryRows(connection, tables, selects.join('\nUNION ALL '))
  const proved = new Set<string>()
  for (const { at, rows, fingerprint: own, gone } of answers) {
    const { name, ...expected } = tables[at] as BackedUpTable
    const before = differing.get(name) as Differing
    const fingerprint = addFingerprints([before.sum.fingerprint, gone, own])
    if (Number(rows) === expected.rows && fingerprint === expected.fingerprint) proved.add(name)
  }
  return proved
}
