import type { BackedUpTable } from '../../backup/manifest.ts'
import { messageOf, SchemaChanged } from '../../errors.ts'
import type { Connection } from '../../postgres/connection.ts'
import { sqlStateOf } from '../../postgres/errors.ts'
import { qualified, quote } from '../../postgres/identifiers.ts'
import { type Asker, readAskers } from '../constraints/askers.ts'
import type { Pair } from '../constraints/generated-columns.ts'
import { putIndexesAside } from '../constraints/indexes.ts'
import { inSavepoint, isOfTheRows } from '../savepoint.ts'
import { scratchTableOf, typedRows } from '../scratch.ts'
import { type Lent, lendRows, takeBack } from './lend-rows.ts'
import { countScans, readBetween, withoutWorkers } from './table-scans.ts'

/**
 * Fills the empty live tables from the scratch schema, in a transaction and under the role's own search path. Functions of
 * the application that look at a row while it is put in (generated columns, indexes, partition keys) may read other tables,
 * or their own, so tables that have them come last, and one that refuses its rows, or was asked while a table that is read
 * was still empty, is tried again when others have theirs. What no order fills are tables that read themselves or each
 * other: their rows are lent to them meanwhile. What cannot be lent (partitions) has its indexes put aside.
 * @throws SchemaChanged naming the first table that takes its rows in no order
 * @see docs/decisions.md#tables-that-ask-functions-are-filled-last
 */
export async function fillTables(
  connection: Connection,
  { runId, pairs }: { runId: string; pairs: readonly Pair[] },
): Promise<void> {
  const asking = await readAsking(connection, pairs)
  const askers = await readAskers(
    connection,
    pairs.map(({ live }) => live),
  )
  if (askers.length > 0) await connection.query(withoutWorkers)
  for (const pair of pairs) {
    if (asking.has(pair.live.oid)) continue
    try {
      await connection.query(insertOf(runId, pair))
    } catch (error) {
      throw isOfTheRows(error) ? refusedBy(pair, askers, error) : error
    }
  }
  let left = pairs.filter(({ live }) => asking.has(live.oid))
  left = await fillInTurn(connection, { runId, left, lent: new Map(), askers })
  if (left.length > 0) {
    const lent = await lendAll(connection, { runId, left, askers })
    left = await fillInTurn(connection, { runId, left, lent, askers })
    for (const { live } of left) {
      const one = lent.get(live.oid)
      if (one !== undefined) await takeBack(connection, one)
    }
  }
  if (left.length > 0) await fillWithoutIndexes(connection, { runId, left, askers })
}

type Filling = { runId: string; left: readonly Pair[]; lent: Map<number, Lent>; askers: readonly Asker[] }

/**
 * Fills one table after the other, again and again while there is one that takes its rows.
 * @param lent the tables of which the rows can be read all the same; each is taken back when its table is filled
 * @returns the tables that are left
 */
async function fillInTurn(connection: Connection, { runId, left, lent, askers }: Filling): Promise<Pair[]> {
  const asks = new Set(askers.map(({ oid }) => oid))
  let open = [...left]
  for (;;) {
    const before = open.length
    for (const pair of [...open]) {
      // One statement does not see what it puts in, so a table that it reads is still empty, also when it is its own. Of one
      // that asks nothing, its own is only read by Postgres itself, in the index of an exclusion constraint.
      const others = asks.has(pair.live.oid) ? open : open.filter((other) => other !== pair)
      const empty = new Set(others.flatMap(({ live }) => (lent.has(live.oid) ? [] : live.oid)))
      if (!(await fillUnlessEmptyIsRead(connection, { runId, pair, empty }))) continue
      const one = lent.get(pair.live.oid)
      if (one !== undefined) await takeBack(connection, one)
      open = open.filter((other) => other !== pair)
    }
    if (open.length === 0 || open.length === before) return open
  }
}

/** @returns false when the table does not take its rows, or a table that has none yet was read for them */
async function fillUnlessEmptyIsRead(
  connection: Connection,
  { runId, pair, empty }: { runId: string; pair: Pair; empty: ReadonlySet<number> },
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

/** Lends what can be lent, of tables that ask functions: rows of one may be needed to make those of another. */
async function lendAll(
  connection: Connection,
  { runId, left, askers }: { runId: string; left: readonly Pair[]; askers: readonly Asker[] },
): Promise<Map<number, Lent>> {
  const lent = new Map<number, Lent>()
  const asks = new Set(askers.map(({ oid }) => oid))
  const wanted = new Set(left.filter(({ live }) => asks.has(live.oid)))
  for (let before = -1; before !== wanted.size; ) {
    before = wanted.size
    for (const pair of wanted) {
      const one = await lendRows(connection, { runId, pair }, (to) => insertOf(runId, pair, to))
      if (one === undefined) continue
      lent.set(pair.live.oid, one)
      wanted.delete(pair)
    }
  }
  return lent
}

async function fillWithoutIndexes(
  connection: Connection,
  { runId, left, askers }: { runId: string; left: readonly Pair[]; askers: readonly Asker[] },
): Promise<void> {
  const aside = await putIndexesAside(
    connection,
    left.map(({ live }) => live),
  )
  for (let open = [...left]; open.length > 0; ) {
    const refused: { pair: Pair; error: unknown }[] = []
    for (const pair of open) {
      const error = await inSavepoint(connection, () => connection.query(insertOf(runId, pair)))
      if (error !== undefined) refused.push({ pair, error })
    }
    const [first] = refused
    if (first !== undefined && refused.length === open.length)
      throw refusedBy(first.pair, askers, first.error)
    open = refused.map(({ pair }) => pair)
  }
  for (const { table, make } of aside) {
    const pair = left.find(({ live }) => live.oid === table) as Pair
    // Of an expression that reads the very table, Postgres cannot make an index at all, and calls that damage.
    const isExpected = (error: unknown) => isOfTheRows(error) || sqlStateOf(error) === 'XX001'
    const error = await inSavepoint(connection, () => connection.query(make), isExpected)
    if (error !== undefined) throw refusedBy(pair, askers, error)
  }
}

/** Rows that a table refuses were fine when they were backed up: an index, a type or a function is another one now. */
function refusedBy({ table, live }: Pair, askers: readonly Asker[], error: unknown): SchemaChanged {
  const asked = askers.filter(({ oid }) => oid === live.oid).map(({ label }) => label)
  const calls =
    asked.length === 0 ? '' : ` (its ${asked.join(', its ')} may call a function that refuses them)`
  return new SchemaChanged(
    `The live table ${table.name} does not take its rows of the backup: ${messageOf(error)}${calls}. Nothing was changed; bring the index, the type, the generated column or the function that refuses them back to what it was, then restore`,
    { cause: error },
  )
}

function insertOf(
  runId: string,
  { table, live }: Pair,
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

/** The tables that ask functions or operators of the application about each row that is put in. */
async function readAsking(connection: Connection, pairs: readonly Pair[]): Promise<Set<number>> {
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
