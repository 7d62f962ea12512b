import type { BackedUpTable } from '../backup/manifest.ts'
import type { Connection } from '../clients.ts'
import type { Pair } from './generated.ts'
import { qualified, quote } from './identifiers.ts'
import { inSavepoint } from './savepoint.ts'
import { scratchTableOf, typedRows } from './scratch.ts'

/**
 * Fills the empty live tables from the scratch schema, in a transaction and under the role's own search path. Functions of
 * the application that look at a row while it is put in (generated columns, indexes, domains) may read other tables, so
 * these tables come last, and one that refuses its rows is tried again when others have theirs.
 * @throws what Postgres says of the first table that takes its rows in no order
 */
export async function fillTables(
  connection: Connection,
  { runId, pairs }: { runId: string; pairs: readonly Pair[] },
): Promise<void> {
  const asking = await readAsking(connection, pairs)
  for (const pair of pairs) if (!asking.has(pair.live.oid)) await connection.query(insertOf(runId, pair))
  let left = pairs.filter(({ live }) => asking.has(live.oid))
  while (left.length > 0) {
    const refused: { pair: Pair; error: unknown }[] = []
    for (const pair of left) {
      const error = await inSavepoint(connection, () => connection.query(insertOf(runId, pair)))
      if (error !== undefined) refused.push({ pair, error })
    }
    if (refused.length === left.length) throw refused[0]?.error
    left = refused.map(({ pair }) => pair)
  }
}

function insertOf(runId: string, { table, live }: Pair): string {
  const columns = givenColumns(table)
  const names = columns.length === 0 ? '' : ` (${columns.join(', ')}) OVERRIDING SYSTEM VALUE`
  const source =
    columns.length === 0 ? qualified(scratchTableOf(runId, table)) : typedRows(runId, table, live)
  return `INSERT INTO ${qualified(table)}${names} SELECT ${columns.join(', ')} FROM ${source}`
}

function givenColumns({ columns }: BackedUpTable): string[] {
  return columns.filter(({ generated }) => generated === '').map(({ name }) => quote(name))
}

/** The tables that ask functions or operators of the application about each row that is put in. */
async function readAsking(connection: Connection, pairs: readonly Pair[]): Promise<Set<number>> {
  const answer = await connection.query(
    `SELECT d.adrelid::bigint::float8 AS oid FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
     WHERE a.attgenerated <> '' AND d.adrelid = ANY($1::oid[])
     UNION SELECT a.attrelid::bigint::float8 FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
     WHERE a.attrelid = ANY($1::oid[]) AND a.attnum > 0 AND (t.typtype IN ('c', 'd') OR t.typcategory = 'A') AND t.oid >= 16384
     UNION SELECT i.indrelid::bigint::float8 FROM pg_index i
     WHERE i.indrelid = ANY($1::oid[]) AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)`,
    [pairs.map(({ live }) => live.oid)],
  )
  return new Set(answer.rows.map(({ oid }) => oid))
}
