import { agreeing, counted } from '../../amounts.ts'
import { RehearsalFailed } from '../../errors.ts'
import type { Connection } from '../../postgres/connection.ts'
import { qualified, quote } from '../../postgres/identifiers.ts'
import { ownSearchPath } from '../../postgres/search-path.ts'
import { readUniqueIndexes, type UniqueIndex } from '../constraints/unique-indexes.ts'
import { typedRows } from '../scratch/schema.ts'
import type { TablePair } from '../table-pair.ts'

/** What lies in an index is not asked: one that is damaged is why there can be duplicates at all. */
const byRows = ['indexscan', 'indexonlyscan', 'bitmapscan']
const withoutIndexes = byRows.map((name) => `SET LOCAL enable_${name} TO off`).join('; ')
const withIndexes = byRows.map((name) => `SET LOCAL enable_${name} TO DEFAULT`).join('; ')

/**
 * Loaded rows that another live row equals by a unique index, of tables of which not all rows were loaded: the others
 * differ from each other already, since a run loaded all. To be called in a transaction.
 * @throws RehearsalFailed naming table and index
 */
export async function findDuplicates(
  connection: Connection,
  { runId, pairs }: { runId: string; pairs: readonly TablePair[] },
): Promise<void> {
  if (pairs.length === 0) return
  const indexes = await readUniqueIndexes(
    connection,
    pairs.map(({ live }) => live),
  )
  await connection.query(`${withoutIndexes}; ${ownSearchPath}`)
  for (const pair of pairs) {
    for (const index of pair.table.rows === 0 ? [] : (indexes.get(pair.live.oid) ?? [])) {
      const keys = await countTwice(connection, runId, pair, index)
      if (keys > 0) throw notUnique(pair, index, keys)
    }
  }
  await connection.query(`${withIndexes}; SET LOCAL search_path TO pg_catalog`)
}

async function countTwice(
  connection: Connection,
  runId: string,
  { table, live }: TablePair,
  { columns, operators, predicate }: UniqueIndex,
): Promise<number> {
  const keys = columns.map(quote).join(', ')
  const areEqual = columns.map((name, at) => `held.${quote(name)} ${operators[at]} loaded.${quote(name)}`)
  const where = predicate === null ? '' : ` WHERE ${predicate}`
  const found = await connection.query(
    `SELECT pg_catalog.count(*)::float8 AS keys FROM (
       SELECT ${keys} FROM (SELECT * FROM ONLY ${qualified(live)} AS ${quote(live.table)}${where}) AS held
       WHERE EXISTS (SELECT FROM (SELECT * FROM ${typedRows(runId, table, live)}${where}) AS loaded WHERE ${areEqual.join(' AND ')})
       GROUP BY ${keys} HAVING pg_catalog.count(*) > 1) AS twice`,
  )
  return found.rows[0]?.keys
}

function notUnique({ table }: TablePair, { name }: UniqueIndex, keys: number): RehearsalFailed {
  return new RehearsalFailed(
    `The index ${name} of ${table.name} would not take the backed-up rows: ${counted(keys, 'key')} of it ${agreeing(keys, 'stands', 'stand')} in several of them. They could not be put back; the live tables were not touched. Correct these rows, or drop the index or constraint`,
  )
}
