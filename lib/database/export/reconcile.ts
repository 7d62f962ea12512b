import { counted } from '../../amounts.ts'
import type { BackedUpTable, TablePart } from '../../backup/sections/database.ts'
import { BackupIsStale } from '../../errors.ts'
import type { Connection } from '../../postgres/connection.ts'
import type { Bucket } from '../../s3/bucket.ts'
import type { Shard } from '../parts/shards.ts'
import { fingerprintOf, queryRows, rowsOf } from '../rows.ts'
import { exportShard, readEndPages } from './export.ts'

type LateParts = { name: string; parts: TablePart[] }[]

type Reconcile = {
  bucket: Bucket
  tables: readonly BackedUpTable[]
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
  { bucket, tables, maxBytes, keys }: Reconcile,
): Promise<LateParts> {
  const changed = await findChanged(connection, tables)
  const differing: { table: BackedUpTable; shards: Shard[] }[] = []
  for (const table of changed) differing.push({ table, shards: await findChangedShards(connection, table) })
  const bytes = differing.flatMap(({ shards }) => shards).reduce((sum, shard) => sum + shard.bytes, 0)
  if (bytes > maxBytes) {
    const names = differing.map(
      ({ table, shards }) => `${table.name} (${shards.length} of ${counted(table.parts.length, 'part')})`,
    )
    throw new BackupIsStale(
      `Since the backup ${bytes} bytes changed in ${names.join(', ')}, more than the ${maxBytes} of LATE_MAX_BYTES that may be exported again under the lock. Nothing was wiped; pause the writers, or raise LATE_MAX_BYTES`,
    )
  }
  const endPages = await readEndPages(connection, changed)
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

/** Whole tables first: the server reads those in parallel, and mostly nothing changed. */
async function findChanged(
  connection: Connection,
  tables: readonly BackedUpTable[],
): Promise<BackedUpTable[]> {
  const changed: BackedUpTable[] = []
  for (let start = 0; start < tables.length; ) {
    const piece = [tables[start] as BackedUpTable]
    // Small tables share a statement; one that is worth parallel workers gets its own.
    while (rowsIn(piece) < 10_000 && piece.length < 50 && start + piece.length < tables.length) {
      piece.push(tables[start + piece.length] as BackedUpTable)
    }
    const selects = piece.map(
      (table, index) => `SELECT ${index} AS at, f.* FROM (${fingerprintOf(rowsOf(table))}) AS f`,
    )
    for (const row of await queryRows(connection, piece, selects.join('\nUNION ALL '))) {
      const table = piece[row.at] as BackedUpTable
      if (Number(row.rows) !== table.rows || row.fingerprint !== table.fingerprint) changed.push(table)
    }
    start += piece.length
  }
  return changed
}

async function findChangedShards(connection: Connection, table: BackedUpTable): Promise<Shard[]> {
  const size = await connection.query('SELECT pg_table_size($1::oid)::float8 AS bytes', [table.oid])
  const shards: Shard[] = []
  for (const part of table.parts) {
    const [found] = await queryRows(connection, [table], fingerprintOf(rowsOf(table, part.pages)))
    const { rows, fingerprint } = found
    if (Number(rows) === part.rows && fingerprint === part.fingerprint) continue
    const { name, schema, columns } = table
    const bytes = Math.ceil(size.rows[0]?.bytes / table.parts.length)
    shards.push({
      name,
      schema,
      table: table.table,
      columns,
      shard: part.shard,
      pages: part.pages,
      bytes,
    })
  }
  return shards
}

function rowsIn(tables: readonly BackedUpTable[]): number {
  return tables.reduce((sum, table) => sum + table.rows, 0)
}
