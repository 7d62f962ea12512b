import { agreeing, counted } from '../../../amounts.ts'
import { PreservationConflict } from '../../../errors.ts'
import type { Connection } from '../../../postgres/connection.ts'
import { qualified, quote } from '../../../postgres/identifiers.ts'
import type { ForeignKey } from '../../catalog/foreign-keys.ts'
import { fingerprintOf, queryRows, rowsOf } from '../../rows.ts'
import type { TableAction } from './table-actions.ts'

/**
 * Refuses when a row that is kept references one that goes: deleting that one would fail, or change the kept row (ON
 * DELETE CASCADE, SET NULL, SET DEFAULT).
 * @param keys the foreign keys for which this depends on the rows, from the plan
 * @throws PreservationConflict naming both tables and how many rows
 * @see docs/decisions.md#a-key-between-two-partitioned-tables-is-checked-as-declared
 */
export async function checkKeptRows(
  connection: Connection,
  { tables, keys }: { tables: readonly TableAction[]; keys: readonly ForeignKey[] },
): Promise<void> {
  for (const key of keys) {
    const pairs = key.columns.map(
      (column, index) =>
        `b.${quote(key.referenced[index] as string)} ${key.operators[index]} a.${quote(column)}`,
    )
    const answer = await connection.query(
      `SELECT count(*)::float8 AS rows
       FROM ${key.fromRows} AS a JOIN ${key.toRows} AS b ON ${pairs.join(' AND ')}
       WHERE ${stays(tables, key.from, 'a')} AND NOT ${stays(tables, key.to, 'b')}`,
    )
    const rows = answer.rows[0]?.rows
    if (rows === 0) continue
    throw new PreservationConflict(
      `${counted(rows, 'row')} of ${key.from} ${agreeing(rows, 'is to be kept and references', 'are to be kept and reference')} rows of ${key.to} (${key.name}) that would be wiped. Either keep those too (PRESERVE_ROWS, PRESERVE_TABLES), or do not keep the ones that reference them`,
    )
  }
}

type KeptRows = { name: string; rows: string; fingerprint: string }

/** Count and fingerprint of the rows that stay in the tables that keep some; the same seed makes them comparable. */
export async function fingerprintKept(
  connection: Connection,
  tables: readonly TableAction[],
  seed: string,
): Promise<KeptRows[]> {
  const kept: KeptRows[] = []
  for (const { table, keepRows } of tables) {
    if (keepRows === null) continue
    const format = { version: 2, seed } as const
    const rows = rowsOf(table, format, null, matches('r', table, keepRows))
    const text = fingerprintOf(rows, format)
    const [found] = await queryRows(connection, [table], text)
    kept.push({ name: table.name, ...found })
  }
  return kept
}

/** SQL for "this row is kept", for a row of table `name`, or of one of its partitions, under `alias`. */
function stays(tables: readonly TableAction[], name: string, alias: string): string {
  const entry = tables.find(({ table }) => table.name === name)
  if (entry === undefined || entry.action === 'keep') return 'true'
  if (!entry.table.partitioned) {
    return entry.keepRows === null ? 'false' : matches(alias, entry.table, entry.keepRows)
  }
  const cases = leavesOf(tables, entry).map(
    ({ table }) => `WHEN ${table.oid} THEN ${stays(tables, table.name, alias)}`,
  )
  return cases.length === 0 ? 'true' : `CASE ${alias}.tableoid ${cases.join(' ')} ELSE true END`
}

/** The managed tables below a partitioned one that hold rows. */
function leavesOf(tables: readonly TableAction[], { table }: TableAction): TableAction[] {
  const below = tables.filter((one) => table.partitions.includes(one.table.name))
  return below.flatMap((one) => (one.table.partitioned ? leavesOf(tables, one) : [one]))
}

/** SQL for "this row matches the condition", which may name the table and its columns, but knows no alias. */
function matches(alias: string, table: { schema: string; table: string }, condition: string): string {
  return `${alias}.ctid IN (SELECT ctid FROM ONLY ${qualified(table)} WHERE (${condition}))`
}
