import type { BackedUpTable } from '../../backup/sections/database.ts'
import type { Connection } from '../../postgres/connection.ts'
import { sqlStateOf } from '../../postgres/errors.ts'
import { qualified, quote } from '../../postgres/identifiers.ts'
import { dropIndexes } from '../constraints/indexes.ts'
import { type RowExpression, readRowExpressions } from '../constraints/row-expressions.ts'
import { inSavepoint, isOfTheRows } from '../savepoint.ts'
import { scratchTableOf, typedRows } from '../scratch/schema.ts'
import type { TablePair } from '../table-pair.ts'
import { addFilledChild, type ChildTable, dropChild } from './child-table.ts'
import { refusedBy } from './refusal.ts'
import { countScans, readBetween, withoutWorkers } from './table-scans.ts'

/**
 * Fills the empty live tables from the scratch schema, in a transaction and under the role's own search path. Functions of
 * the application that look at a row while it is put in (generated columns, indexes, partition keys) may read other tables,
 * or their own, so tables that have them come last, and one that refuses its rows, or was asked while a table that is read
 * was still empty, is tried again when others have theirs. What no order fills are tables that read themselves or each
 * other: a child table holds their rows meanwhile. What can have no child (partitions) has its indexes dropped and made again.
 * @throws SchemaChanged naming the first table that takes its rows in no order
 * @see docs/decisions.md#tables-that-ask-functions-are-filled-last
 */
export async function fillTables(
  connection: Connection,
  { runId, pairs }: { runId: string; pairs: readonly TablePair[] },
): Promise<void> {
  const callers = await readCallers(connection, pairs)
  const expressions = await readRowExpressions(
    connection,
    pairs.map(({ live }) => live),
  )
  if (expressions.length > 0) await connection.query(withoutWorkers)
  for (const pair of pairs) {
    if (callers.has(pair.live.oid)) continue
    try {
      await connection.query(insertOf(runId, pair))
    } catch (error) {
      throw isOfTheRows(error) ? refusedBy(pair, expressions, error) : error
    }
  }
  let left = pairs.filter(({ live }) => callers.has(live.oid))
  left = await fillInTurn(connection, { runId, left, children: new Map(), expressions })
  if (left.length > 0) {
    const children = await addChildren(connection, { runId, left, expressions })
    left = await fillInTurn(connection, { runId, left, children, expressions })
    for (const { live } of left) {
      const one = children.get(live.oid)
      if (one !== undefined) await dropChild(connection, one)
    }
  }
  if (left.length > 0) await fillWithoutIndexes(connection, { runId, left, expressions })
}

type Filling = {
  runId: string
  left: readonly TablePair[]
  children: Map<number, ChildTable>
  expressions: readonly RowExpression[]
}

/**
 * Fills one table after the other, again and again while there is one that takes its rows.
 * @param children child tables by which the rows of tables can be read all the same; each is dropped when its table is filled
 * @returns the tables that are left
 */
async function fillInTurn(
  connection: Connection,
  { runId, left, children, expressions }: Filling,
): Promise<TablePair[]> {
  const calling = new Set(expressions.map(({ oid }) => oid))
  let open = [...left]
  for (;;) {
    const before = open.length
    for (const pair of [...open]) {
      // One statement does not see what it puts in, so a table that it reads is still empty, also when it is its own. Of one
      // that calls nothing, its own is only read by Postgres itself, in the index of an exclusion constraint.
      const others = calling.has(pair.live.oid) ? open : open.filter((other) => other !== pair)
      const empty = new Set(others.flatMap(({ live }) => (children.has(live.oid) ? [] : live.oid)))
      if (!(await fillUnlessEmptyIsRead(connection, { runId, pair, empty }))) continue
      const one = children.get(pair.live.oid)
      if (one !== undefined) await dropChild(connection, one)
      open = open.filter((other) => other !== pair)
    }
    if (open.length === 0 || open.length === before) return open
  }
}

/** @returns false when the table does not take its rows, or a table that has none yet was read for them */
async function fillUnlessEmptyIsRead(
  connection: Connection,
  { runId, pair, empty }: { runId: string; pair: TablePair; empty: ReadonlySet<number> },
): Promise<boolean> {
  const tooEarly = new Error('a table was read that has no rows yet')
  const before = await countScans(connection)
  const refused = await inSavepoint(
    connection,
    async () => {
      await connection.query(insertOf(runId, pair))
      const read = readBetween(before, await countScans(connection))
      if (read.some((oid) => empty.has(oid))) throw tooEarly
    },
    (error) => error === tooEarly || isOfTheRows(error),
  )
  return refused === undefined
}

/** Adds a child where a table that calls functions can have one: rows of one may be needed to make those of another. */
async function addChildren(
  connection: Connection,
  {
    runId,
    left,
    expressions,
  }: { runId: string; left: readonly TablePair[]; expressions: readonly RowExpression[] },
): Promise<Map<number, ChildTable>> {
  const children = new Map<number, ChildTable>()
  const calling = new Set(expressions.map(({ oid }) => oid))
  const wanted = new Set(left.filter(({ live }) => calling.has(live.oid)))
  for (let before = -1; before !== wanted.size; ) {
    before = wanted.size
    for (const pair of wanted) {
      const one = await addFilledChild(connection, { runId, pair }, (to) => insertOf(runId, pair, to))
      if (one === undefined) continue
      children.set(pair.live.oid, one)
      wanted.delete(pair)
    }
  }
  return children
}

async function fillWithoutIndexes(
  connection: Connection,
  {
    runId,
    left,
    expressions,
  }: { runId: string; left: readonly TablePair[]; expressions: readonly RowExpression[] },
): Promise<void> {
  const dropped = await dropIndexes(
    connection,
    left.map(({ live }) => live),
    'asking',
  )
  for (let open = [...left]; open.length > 0; ) {
    const refused: { pair: TablePair; error: unknown }[] = []
    for (const pair of open) {
      const error = await inSavepoint(connection, () => connection.query(insertOf(runId, pair)))
      if (error !== undefined) refused.push({ pair, error })
    }
    const [first] = refused
    if (first !== undefined && refused.length === open.length)
      throw refusedBy(first.pair, expressions, first.error)
    open = refused.map(({ pair }) => pair)
  }
  for (const { table, make } of dropped) {
    const pair = left.find(({ live }) => live.oid === table) as TablePair
    // Of an expression that reads the very table, Postgres cannot make an index at all, and calls that damage.
    const isExpected = (error: unknown) => isOfTheRows(error) || sqlStateOf(error) === 'XX001'
    const error = await inSavepoint(connection, () => connection.query(make), isExpected)
    if (error !== undefined) throw refusedBy(pair, expressions, error)
  }
}

function insertOf(
  runId: string,
  { table, live }: TablePair,
  into: { schema: string; table: string } = table,
): string {
  const columns = givenColumns(table)
  const names = columns.length === 0 ? '' : ` (${columns.join(', ')}) OVERRIDING SYSTEM VALUE`
  const source =
    columns.length === 0 ? qualified(scratchTableOf(runId, table)) : typedRows(runId, table, live)
  return `INSERT INTO ${qualified(into)}${names} SELECT ${columns.join(', ')} FROM ${source}`
}

function givenColumns({ columns }: BackedUpTable): string[] {
  return columns.filter(({ generated }) => generated === '').map(({ name }) => quote(name))
}

/** The tables that call functions or operators of the application about each row that is put in. */
async function readCallers(connection: Connection, pairs: readonly TablePair[]): Promise<Set<number>> {
  const answer = await connection.query(
    `SELECT d.adrelid::bigint::float8 AS oid FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
     WHERE a.attgenerated <> '' AND d.adrelid = ANY($1::oid[])
     UNION SELECT a.attrelid::bigint::float8 FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
     WHERE a.attrelid = ANY($1::oid[]) AND a.attnum > 0 AND (t.typtype IN ('c', 'd') OR t.typcategory = 'A') AND t.oid >= 16384
     UNION SELECT i.indrelid::bigint::float8 FROM pg_index i
     WHERE i.indrelid = ANY($1::oid[]) AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)
     UNION SELECT t.oid::bigint::float8 FROM unnest($1::oid[]) AS t(oid) CROSS JOIN LATERAL pg_partition_ancestors(t.oid) AS up(relid)
     JOIN pg_partitioned_table p ON p.partrelid = up.relid WHERE p.partexprs IS NOT NULL`,
    [pairs.map(({ live }) => live.oid)],
  )
  return new Set(answer.rows.map(({ oid }) => oid))
}
