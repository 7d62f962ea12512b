import { isDeepStrictEqual } from 'node:util'
import { PreservationConflict } from '../../errors.ts'
import { randomSeed } from '../../ledger/environment.ts'
import type { Connection } from '../../postgres/connection.ts'
import { qualified } from '../../postgres/identifiers.ts'
import { restartSequences } from '../catalog/sequences.ts'
import { fingerprintKept } from '../plan/actions/kept-rows.ts'
import type { TableActions } from '../plan/actions/table-actions.ts'
import { disableTriggers } from '../triggers.ts'

/** Tables asked for in one statement. */
const together = 100

/** How many rows each table is going to lose; `known` are counts of whole tables that need not be made again. */
export async function countLosses(
  connection: Connection,
  plan: TableActions,
  known: readonly { name: string; rows: number }[],
): Promise<Record<string, number>> {
  const counts = Object.fromEntries(known.map(({ name, rows }) => [name, rows]))
  const unknown = losses(plan).filter(({ name, keepRows }) => keepRows !== null || counts[name] === undefined)
  for (let start = 0; start < unknown.length; start += together) {
    const piece = unknown.slice(start, start + together)
    const selects = piece.map(({ from }, at) => `SELECT ${at} AS at, count(*)::float8 AS rows ${from}`)
    const answer = await connection.query(selects.join('\nUNION ALL '))
    for (const { at, rows } of answer.rows) counts[piece[at]?.name ?? ''] = rows
  }
  return Object.fromEntries(losses(plan).map(({ name }) => [name, counts[name] ?? 0]))
}

/**
 * Empties what the plan says, and looks that the rest is as it was: kept rows, triggers and rules. Sequences start again.
 * @throws PreservationConflict when rows that go are still there, or kept ones have changed
 * @see docs/decisions.md#truncate-names-tables-with-only
 */
export async function empty(connection: Connection, plan: TableActions): Promise<void> {
  const going = plan.tables.filter(({ action }) => action !== 'keep')
  const seed = randomSeed()
  const keptBefore = await fingerprintKept(connection, plan.tables, seed)
  const enableTriggers = await disableTriggers(connection, {
    going: going.map(({ table }) => ({ oid: table.oid, sql: qualified(table) })),
    reached: plan.reached,
  })
  const truncated = going
    .filter(({ action }) => action === 'truncate')
    .map(({ table }) => (table.partitioned ? qualified(table) : `ONLY ${qualified(table)}`))
  if (truncated.length > 0) await connection.query(`TRUNCATE ${truncated.join(', ')}`)
  // One statement, so that foreign keys are checked when all rows are gone: cycles need no order.
  const deletes = losses(plan)
    .filter(({ action }) => action !== 'truncate')
    .map(({ from }, index) => `d${index} AS (DELETE ${from})`)
  if (deletes.length > 0) await connection.query(`WITH ${deletes.join(',\n')} SELECT`)
  await connection.query('SET CONSTRAINTS ALL IMMEDIATE') // else a deferred foreign key would fail the COMMIT
  await checkKept(connection, plan, keptBefore, seed)
  await checkEmpty(connection, plan)
  await restartSequences(connection, plan.restart)
  if (enableTriggers.length > 0) await connection.query(enableTriggers.join(';\n'))
}

/** The tables that lose rows, with `FROM … WHERE …` for those rows. */
function losses({ tables }: TableActions) {
  return tables
    .filter(({ table, action }) => action !== 'keep' && !table.partitioned)
    .map(({ table, action, keepRows }) => {
      const where = keepRows === null ? '' : ` WHERE (${keepRows}) IS NOT TRUE`
      return { name: table.name, action, keepRows, from: `FROM ONLY ${qualified(table)}${where}` }
    })
}

/** Kept rows must be bit for bit what they were. */
async function checkKept(
  connection: Connection,
  plan: TableActions,
  before: Awaited<ReturnType<typeof fingerprintKept>>,
  seed: string,
): Promise<void> {
  const after = await fingerprintKept(connection, plan.tables, seed)
  const changed = before.filter((kept, index) => !isDeepStrictEqual(kept, after[index]))
  if (changed.length === 0) return
  throw new PreservationConflict(
    `The wipe would change rows of ${changed.map(({ name }) => name).join(', ')} that PRESERVE_ROWS keeps: a foreign key with ON DELETE reaches them, or the condition depends on other rows. Nothing was wiped; keep what they depend on, too`,
  )
}

/** An independent look after the wipe. */
async function checkEmpty(connection: Connection, plan: TableActions): Promise<void> {
  const wiped = losses(plan)
  for (let start = 0; start < wiped.length; start += together) {
    const piece = wiped.slice(start, start + together)
    const selects = piece.map(({ from }, at) => `SELECT ${at} AS at WHERE EXISTS (SELECT ${from})`)
    const left = await connection.query(selects.join('\nUNION ALL '))
    if (left.rows.length === 0) continue
    throw new PreservationConflict(
      `Rows of ${left.rows.map(({ at }) => piece[at]?.name).join(', ')} are still there after they were wiped: something in the database puts them back or keeps them. Nothing was wiped; look at the rules and triggers of these tables, or preserve them`,
    )
  }
}
