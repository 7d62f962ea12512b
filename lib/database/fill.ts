import type { BackedUpTable } from '../backup/manifest.ts'
import type { Connection } from '../clients.ts'
import { messageOf, SchemaChanged } from '../errors.ts'
import type { Pair } from './generated.ts'
import { qualified, quote } from './identifiers.ts'
import { putIndexesAside, type SetAsideIndex } from './indexes-aside.ts'
import { inSavepoint, isOfTheRows } from './savepoint.ts'
import { scratchTableOf, typedRows } from './scratch.ts'
import { sqlStateOf } from './snapshot.ts'

/**
 * Fills the empty live tables from the scratch schema, in a transaction and under the role's own search path. Functions of
 * the application that look at a row while it is put in (generated columns, indexes, domains) may read other tables, so
 * these tables come last, and one that refuses its rows is tried again when others have theirs. When none takes its rows,
 * because their indexes ask each other's tables, these indexes are put aside until all rows are in.
 * @throws SchemaChanged naming the first table that takes its rows in no order
 */
export async function fillTables(
  connection: Connection,
  { runId, pairs }: { runId: string; pairs: readonly Pair[] },
): Promise<void> {
  const asking = await readAsking(connection, pairs)
  const fill = async (pair: Pair) => {
    try {
      await connection.query(insertOf(runId, pair))
    } catch (error) {
      throw isOfTheRows(error) ? refusedBy(pair, error) : error
    }
  }
  for (const pair of pairs) if (!asking.has(pair.live.oid)) await fill(pair)
  let left = pairs.filter(({ live }) => asking.has(live.oid))
  let aside: SetAsideIndex[] | undefined
  while (left.length > 0) {
    const refused: { pair: Pair; error: unknown }[] = []
    for (const pair of left) {
      const error = await inSavepoint(connection, () => connection.query(insertOf(runId, pair)))
      if (error !== undefined) refused.push({ pair, error })
    }
    const [first] = refused
    if (first !== undefined && refused.length === left.length) {
      if (aside !== undefined) throw refusedBy(first.pair, first.error)
      aside = await putIndexesAside(
        connection,
        left.map(({ live }) => live),
      )
    }
    left = refused.map(({ pair }) => pair)
  }
  for (const { table, make } of aside ?? []) {
    const pair = pairs.find(({ live }) => live.oid === table) as Pair
    // Of an expression that reads the very table, Postgres cannot make an index at all, and calls that damage.
    const isExpected = (error: unknown) => isOfTheRows(error) || sqlStateOf(error) === 'XX001'
    const error = await inSavepoint(connection, () => connection.query(make), isExpected)
    if (error !== undefined) throw refusedBy(pair, error)
  }
}

/** Rows that a table refuses were fine when they were backed up: an index, a type or a function is another one now. */
function refusedBy({ table }: Pair, error: unknown): SchemaChanged {
  return new SchemaChanged(
    `The live table ${table.name} does not take its rows of the backup: ${messageOf(error)}. Nothing was changed; bring the index, the type, the generated column or the function that refuses them back to what it was, then restore`,
    { cause: error },
  )
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
