import { counted } from '../../amounts.ts'
import type { BackedUpTable, TablePart } from '../../backup/sections/database.ts'
import { addFingerprints, type FingerprintFormat } from '../../backup/sections/fingerprint.ts'
import { BackupIsStale } from '../../errors.ts'
import type { Connection } from '../../postgres/connection.ts'
import type { Bucket } from '../../s3/bucket.ts'
import { readFingerprints } from '../fingerprints.ts'
import type { HashedShard } from '../parts/shards.ts'
import { readEndPages } from '../ranges.ts'
import { exportShard } from './export.ts'

type LateParts = { name: string; parts: TablePart[] }[]

type Reconcile = {
  bucket: Bucket
  tables: readonly BackedUpTable[]
  /** How the backup's were made. */
  fingerprints: FingerprintFormat
  maxBytes: number
  /** The key of a part that replaces one of the backup's. */
  keys: (table: string, shard: number, copy: number) => string
}

/**
 * Compares the rows that `connection`'s transaction sees with the backup's, and exports again every shard that differs.
 * Backup + result = exactly what the transaction sees; that transaction must see one snapshot.
 * @returns the parts that replace the backup's
 * @throws BackupIsStale when more than `maxBytes` would have to be exported again, or a table is not the one backed up
 */
export async function reconcile(
  connection: Connection,
  { bucket, tables, fingerprints, maxBytes, keys }: Reconcile,
): Promise<LateParts> {
  const differing = await findChanged(connection, tables, fingerprints)
  const bytes = differing.flatMap(({ shards }) => shards).reduce((sum, shard) => sum + shard.bytes, 0)
  if (bytes > maxBytes) {
    const names = differing.map(
      ({ table, shards }) => `${table.name} (${shards.length} of ${counted(table.parts.length, 'part')})`,
    )
    throw new BackupIsStale(
      `Since the backup ${bytes} bytes changed in ${names.join(', ')}, more than the ${maxBytes} of LATE_MAX_BYTES that may be exported again under the lock. Nothing was wiped; pause the writers, or raise LATE_MAX_BYTES`,
    )
  }
  const endPages = await readEndPages(
    connection,
    differing.map(({ table }) => table),
  )
  const late: LateParts = []
  for (const { table, shards } of differing) {
    const parts: TablePart[] = []
    for (const shard of shards) {
      const endPage = shard.pages.to ?? endPages.get(table.name) ?? 0
      parts.push(
        await exportShard(bucket, connection, shard, endPage, (copy) => keys(table.name, shard.shard, copy)),
      )
    }
    late.push({ name: table.name, parts })
  }
  return late
}

/**
 * The shards that differ, of tables of which the whole differs: where its rows lie says nothing.
 * @see docs/decisions.md#ranges-are-compared-in-statements-that-workers-share
 */
async function findChanged(
  connection: Connection,
  tables: readonly BackedUpTable[],
  fingerprints: FingerprintFormat,
): Promise<{ table: BackedUpTable; shards: HashedShard[] }[]> {
  const asked = tables.flatMap((of) => of.parts.map(({ pages, rows }) => ({ of, pages, expected: rows })))
  const found = await readFingerprints(connection, asked, fingerprints)
  const changed: { table: BackedUpTable; shards: HashedShard[] }[] = []
  for (const table of tables) {
    const parts = found.splice(0, table.parts.length)
    if (
      addFingerprints(parts.map(({ fingerprint }) => fingerprint)) === table.fingerprint &&
      rowsIn(parts) === table.rows
    )
      continue
    const differing = table.parts.filter(
      ({ rows, fingerprint }, at) => parts[at]?.rows !== rows || parts[at].fingerprint !== fingerprint,
    )
    changed.push({ table, shards: await shardsOf(connection, table, differing, fingerprints) })
  }
  return changed
}

async function shardsOf(
  connection: Connection,
  table: BackedUpTable,
  parts: readonly TablePart[],
  fingerprints: FingerprintFormat,
): Promise<HashedShard[]> {
  const size = await connection.query('SELECT pg_table_size($1::oid)::float8 AS bytes', [table.oid])
  const bytes = Math.ceil(size.rows[0]?.bytes / table.parts.length)
  const { name, schema, columns } = table
  return parts.map(({ shard, pages }) => ({
    ...{ name, schema, table: table.table, columns, shard, pages, bytes, fingerprints },
  }))
}

function rowsIn(counted: readonly { rows: number }[]): number {
  return counted.reduce((sum, { rows }) => sum + rows, 0)
}
