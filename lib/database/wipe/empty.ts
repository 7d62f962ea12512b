import { isDeepStrictEqual } from 'node:util'
import { agreeing } from '../../amounts.ts'
import { PreservationConflict } from '../../errors.ts'
import { randomSeed } from '../../ledger/environment.ts'
import type { Connection } from '../../postgres/connection.ts'
import { qualified } from '../../postgres/identifiers.ts'
import { writersOf } from '../catalog/event-triggers.ts'
import { restartSequences } from '../catalog/sequences.ts'
import { isWritten, readWritten, type Written } from '../catalog/written.ts'
import { fingerprintKept } from '../plan/actions/kept-rows.ts'
import { shortNames, type TableAction, type TableActions } from '../plan/actions/table-actions.ts'
import { roleOf } from '../plan/restore-rights.ts'
import { keptIn } from '../schema/plan.ts'
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
 * @param before of the tables that are kept whole, when their rows were those to keep: what `readWrittenToKept` gave
 * @throws PreservationConflict when rows that go are still there, or kept ones have changed
 * @see docs/decisions.md#truncate-names-tables-with-only
 * @see docs/decisions.md#what-the-wipe-itself-sets-off-changes-nothing-that-is-kept
 */
export async function empty(connection: Connection, plan: TableActions, before: Written): Promise<void> {
  const going = plan.tables.filter(({ action }) => action !== 'keep')
  const seed = randomSeed()
  const compared = before === null ? plan.tables.map(keptByRows) : plan.tables
  const keptBefore = await fingerprintKept(connection, compared, seed)
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
  await checkEmpty(connection, plan)
  await restartSequences(connection, plan.restart)
  if (enableTriggers.length > 0) await connection.query(enableTriggers.join(';\n'))
  // Behind the two before, for event triggers hear of these as well.
  const keptAfter = await fingerprintKept(connection, compared, seed)
  await refuseChanged(
    connection,
    keptBefore.filter((kept, index) => !isDeepStrictEqual(kept, keptAfter[index])),
  )
}

/** What this session has written so far into the tables that are kept whole. */
export function readWrittenToKept(connection: Connection, plan: TableActions): Promise<Written> {
  return readWritten(connection, keptIn(plan.tables))
}

/** For a server that does not tell what was written: all rows of a table that is kept whole are compared. */
function keptByRows(entry: TableAction): TableAction {
  return entry.action === 'keep' && !entry.table.partitioned ? { ...entry, keepRows: 'true' } : entry
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
async function refuseChanged(connection: Connection, changed: readonly { name: string }[]): Promise<void> {
  if (changed.length === 0) return
  throw new PreservationConflict(
    `The wipe would change rows of ${shortNames(changed)} that are preserved: a foreign key with ON DELETE reaches them, the condition depends on other rows, or ${await writersOf(connection)} writes there meanwhile. Nothing was wiped; keep what they depend on, too, or keep the writer from it`,
  )
}

/**
 * Looks that nothing was written into tables that are kept whole, be it what was there.
 * @param before see `empty`
 * @throws PreservationConflict naming them
 */
export async function checkKeptWhole(
  connection: Connection,
  plan: TableActions,
  before: Written,
): Promise<void> {
  if (before === null) return // all their rows were compared
  const now = await readWrittenToKept(connection, plan)
  const written = keptIn(plan.tables).filter((table) => isWritten(table, before, now))
  if (written.length === 0) return
  throw new PreservationConflict(
    `The wipe would change ${shortNames(written)}, which ${agreeing(written.length, 'is', 'are')} preserved: ${await writersOf(connection)} writes there when other tables are altered or emptied. Nothing was wiped; keep it from that, as for the role ${await roleOf(connection)}, or name ${agreeing(written.length, 'the table', 'the tables')} in EXCLUDE_TABLES`,
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
