import type { Connection } from '../clients.ts'
import { PreservationConflict } from '../errors.ts'
import type { DatabasePlan } from '../run/plan.ts'
import { qualified } from './identifiers.ts'
import { fingerprintKept } from './kept-rows.ts'
import { restartSequences } from './sequences.ts'
import { disableTriggers } from './triggers.ts'

/**
 * Empties what the plan says, and looks that nothing else changed: rows that are kept, triggers and rules are as before,
 * nothing is left of what goes, and sequences start again.
 * @throws PreservationConflict
 */
export async function empty(connection: Connection, live: DatabasePlan): Promise<void> {
  const going = live.tables.filter(({ action }) => action !== 'keep')
  const keptBefore = await fingerprintKept(connection, live.tables)
  const enableTriggers = await disableTriggers(connection, {
    going: going.map(({ table }) => ({ oid: table.oid, sql: qualified(table) })),
    reached: live.reached,
  })
  const truncated = going.filter(({ action }) => action === 'truncate').map(({ table }) => table)
  if (truncated.length > 0) {
    const names = truncated.map((table) =>
      table.partitioned ? qualified(table) : `ONLY ${qualified(table)}`,
    )
    await connection.query(`TRUNCATE ${names.join(', ')}`)
  }
  // One statement, so that foreign keys are checked when all rows are gone: cycles need no order.
  const deletes = going
    .filter(({ table, action }) => action !== 'truncate' && !table.partitioned)
    .map(({ table, keepRows }, index) => {
      const where = keepRows === null ? '' : ` WHERE (${keepRows}) IS NOT TRUE`
      return `d${index} AS (DELETE FROM ONLY ${qualified(table)}${where})`
    })
  if (deletes.length > 0) await connection.query(`WITH ${deletes.join(',\n')} SELECT`)
  await connection.query('SET CONSTRAINTS ALL IMMEDIATE') // else a deferred foreign key would fail the COMMIT
  await checkKept(connection, live, keptBefore)
  await checkEmpty(connection, live)
  await restartSequences(connection, live.restart)
  for (const statement of enableTriggers) await connection.query(statement)
}

/** Kept rows must be bit for bit what they were. */
async function checkKept(
  connection: Connection,
  live: DatabasePlan,
  before: Awaited<ReturnType<typeof fingerprintKept>>,
): Promise<void> {
  const after = await fingerprintKept(connection, live.tables)
  const changed = before.filter((kept, index) => JSON.stringify(kept) !== JSON.stringify(after[index]))
  if (changed.length === 0) return
  throw new PreservationConflict(
    `The wipe would change rows of ${changed.map(({ name }) => name).join(', ')} that PRESERVE_ROWS keeps (a foreign key with ON DELETE reaches them). Nothing was wiped; keep the rows they reference too`,
  )
}

/** An independent look after the wipe: a rule or a trigger may have made rows stay. */
async function checkEmpty(connection: Connection, live: DatabasePlan): Promise<void> {
  for (const { table, action, keepRows } of live.tables) {
    if (action === 'keep' || table.partitioned) continue
    const where = keepRows === null ? '' : ` WHERE (${keepRows}) IS NOT TRUE`
    const left = await connection.query(
      `SELECT EXISTS (SELECT FROM ONLY ${qualified(table)}${where}) AS rows`,
    )
    if (left.rows[0]?.rows === false) continue
    throw new PreservationConflict(
      `Rows of ${table.name} are still there after they were wiped: something in the database puts them back or keeps them. Nothing was wiped; look at the table's rules and triggers, or preserve it`,
    )
  }
}
