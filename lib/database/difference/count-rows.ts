import type { BackedUpTable } from '../../backup/sections/database.ts'
import type { FingerprintFormat } from '../../backup/sections/fingerprint.ts'
import type { Connection } from '../../postgres/connection.ts'
import type { Bucket } from '../../s3/bucket.ts'
import type { TableDifference } from '../schema/difference.ts'
import { countChanged } from './changed-rows.ts'
import { readDiffering, type WantedRows } from './differing-rows.ts'
import type { Groups } from './groups.ts'
import type { HeldGroups } from './held-groups.ts'

type Asked = {
  table: BackedUpTable
  /** Finds the groups of rows that differ. */
  find: () => Promise<Groups | HeldGroups>
  format: FingerprintFormat
  /** The live table's primary key; undefined: it has none, so no row can be told to have changed. */
  key: readonly string[] | undefined
  /** Of some table; undefined: no rows are wanted. */
  wanted: WantedRows | undefined
}

/**
 * What there is to say of a table's rows, but for how many there are now. What it makes to work with is undone at once: else
 * the locks of all TEMP tables, some thirty for each table that differs, would be held until the last was compared.
 * @see docs/decisions.md#a-difference-is-made-of-groups-of-rows-with-one-hash
 */
export async function countRows(
  connection: Connection,
  bucket: Bucket,
  { table, find, format, key, wanted }: Asked,
): Promise<Omit<TableDifference, 'now'>> {
  await connection.query('SAVEPOINT looked')
  const groups = await find()
  const isHeld = key?.every((name) => table.columns.some((column) => column.name === name)) ?? false
  const looked = { table, groups, format }
  const { changed, keys } =
    key === undefined || !isHeld
      ? { changed: null, keys: null }
      : await countChanged(connection, bucket, { ...looked, key })
  if (wanted?.table === table.name) {
    const rows = await readDiffering(connection, bucket, { ...looked, keys, limit: wanted.limit })
    wanted.take({ key: changed ? (key ?? []) : [], rows })
  }
  await connection.query('ROLLBACK TO SAVEPOINT looked; RELEASE SAVEPOINT looked')
  return {
    name: table.name,
    before: table.rows,
    extra: groups.surplus - (changed ?? 0),
    missing: groups.missing - (changed ?? 0),
    changed,
  }
}
