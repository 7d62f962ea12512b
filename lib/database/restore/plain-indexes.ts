import type { Connection } from '../../postgres/connection.ts'
import { type DroppedIndex, dropIndexes } from '../constraints/indexes.ts'
import { readAskingDefaults, readRowExpressions } from '../constraints/row-expressions.ts'
import { mostMadeAnew } from '../locks/need.ts'
import { isOfTheRows } from '../savepoint.ts'
import type { TablePair } from '../table-pair.ts'
import { refusedBy } from './refusal.ts'

/** From so many rows on, making an index anew is worth what it takes to drop it. */
const worthwhile = 10_000

/**
 * Drops the indexes of large tables that are of columns alone and that no constraint needs, before the tables are filled: to
 * make one of sorted rows takes a third of the time of putting rows into it one by one. None while functions of the
 * application are asked about rows, for they may look for others by these indexes.
 * To be called before constraints are dropped: a foreign key needs the index that it refers to, until it is dropped.
 * @see docs/decisions.md#plain-indexes-are-made-anew-by-a-restore
 */
export async function dropPlainIndexes(
  connection: Connection,
  pairs: readonly TablePair[],
): Promise<DroppedIndex[]> {
  const large = pairs
    .filter(({ table }) => table.rows >= worthwhile)
    .sort((one, other) => other.table.rows - one.table.rows)
    .map(({ live }) => live)
  if (large.length === 0) return []
  return (await asksApplication(connection, pairs))
    ? []
    : dropIndexes(connection, large, 'plain', mostMadeAnew)
}

/** Whether functions of the application are asked about rows that are put in, or for columns that were added since the backup. */
async function asksApplication(connection: Connection, pairs: readonly TablePair[]): Promise<boolean> {
  const tables = pairs.map(({ live }) => live)
  if ((await readRowExpressions(connection, tables)).length > 0) return true
  const backedUp = new Map(pairs.map(({ table, live }) => [live.oid, table.columns]))
  const defaults = await readAskingDefaults(connection, tables)
  return defaults.some(({ oid, column }) => !backedUp.get(oid)?.some(({ name }) => name === column))
}

/** @throws SchemaChanged naming the table whose rows are not unique by one */
export async function makePlainIndexes(
  connection: Connection,
  { pairs, dropped }: { pairs: readonly TablePair[]; dropped: readonly DroppedIndex[] },
): Promise<void> {
  for (const { table, make } of dropped) {
    try {
      await connection.query(make)
    } catch (error) {
      const pair = pairs.find(({ live }) => live.oid === table) as TablePair
      throw isOfTheRows(error) ? refusedBy(pair, [], error) : error
    }
  }
}
