import type { Clients } from '../../../clients.ts'
import type { Connection } from '../../../postgres/connection.ts'
import { databaseError, sqlStateOf } from '../../../postgres/errors.ts'
import { qualified } from '../../../postgres/identifiers.ts'
import { withConnection } from '../../../postgres/with-connection.ts'
import { type Count, conditionError, countOn, type TableToCount } from './count.ts'

/** `bytes` as the catalog says, with TOAST. */
type SizedTable = TableToCount & { bytes: number }

export type CountLimits = {
  /** Tables are counted while they have no more than so many bytes together, the small ones first. */
  bytes: number
  /** How long one statement may take or wait for a lock. */
  milliseconds: number
}

export type RowEstimate = Count & { estimated: boolean }

/**
 * Rows per table in a time that does not grow with the tables: the small ones are counted, of the others it is what the
 * planner expects, from their present size and what ANALYZE last saw. When counting takes too long all the same, all are
 * estimated.
 * @throws InvalidConfiguration when Postgres refuses a condition of PRESERVE_ROWS
 * @throws RowsHidden, NotPermitted, DatabaseBusy
 * @see docs/decisions.md#the-quick-answer-estimates-with-the-planner
 */
export async function estimateTables(
  clients: Pick<Clients, 'connect'>,
  tables: readonly SizedTable[],
  limits: CountLimits,
): Promise<Map<string, RowEstimate>> {
  const { small, large } = split(tables, limits.bytes)
  return withConnection(clients, async (connection) => {
    await setLimits(connection, limits)
    await connection.query('SET search_path TO DEFAULT') // see postgres/search-path.ts; from here on only their tables are read
    const counted = await countInTime(connection, small)
    const left = counted === null ? tables : large
    const estimates = new Map<string, RowEstimate>()
    for (const [name, count] of counted ?? []) estimates.set(name, { ...count, estimated: false })
    for (const table of left) estimates.set(table.name, await estimate(connection, table))
    return estimates
  })
}

/** Bounds every statement on the connection from now on; a lock that is not granted is told before that time is over. */
export async function setLimits(connection: Connection, { milliseconds }: CountLimits): Promise<void> {
  const lockMs = Math.ceil(milliseconds * 0.8)
  await connection.query(`SET statement_timeout = ${milliseconds}; SET lock_timeout = ${lockMs}`)
}

/** Whether a statement was ended by its timeout. */
export function isTooSlow(error: unknown): boolean {
  return sqlStateOf(error) === '57014'
}

function split(tables: readonly SizedTable[], bytes: number): { small: SizedTable[]; large: SizedTable[] } {
  const small: SizedTable[] = []
  const large: SizedTable[] = []
  let left = bytes
  for (const table of tables.toSorted((a, b) => a.bytes - b.bytes)) {
    left -= table.bytes
    if (left >= 0) small.push(table)
    else large.push(table)
  }
  return { small, large }
}

/** @returns null when it took too long */
async function countInTime(
  connection: Connection,
  tables: readonly TableToCount[],
): Promise<Map<string, Count> | null> {
  try {
    return await countOn(connection, tables)
  } catch (error) {
    if (isTooSlow(error)) return null
    throw error
  }
}

async function estimate(connection: Connection, table: TableToCount): Promise<RowEstimate> {
  const all = `SELECT FROM ONLY ${qualified(table)}`
  const rows = await expectedRows(connection, all).catch((error: unknown) => {
    throw databaseError(error)
  })
  const { keepRows } = table
  if (keepRows === null) return { rows, keptRows: 0, estimated: true }
  const kept = await expectedRows(connection, `${all} WHERE (${keepRows})`).catch((error: unknown) => {
    throw conditionError(table, keepRows, error)
  })
  return { rows, keptRows: Math.min(rows, kept), estimated: true }
}

/** What the planner expects a query to give, without running it. */
async function expectedRows(connection: Connection, query: string): Promise<number> {
  const answer = await connection.query(`EXPLAIN (FORMAT JSON) ${query}`)
  return answer.rows[0]?.['QUERY PLAN'][0].Plan['Plan Rows']
}
