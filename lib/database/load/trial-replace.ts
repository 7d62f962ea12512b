import type { Warning } from '../../backup/manifest.ts'
import type { BackedUpTable } from '../../backup/sections/database.ts'
import type { Clients } from '../../clients.ts'
import { DatabaseBusy, messageOf, RehearsalFailed, SchemaChanged } from '../../errors.ts'
import type { Connection } from '../../postgres/connection.ts'
import type { Table } from '../catalog/table.ts'
import { readTables } from '../catalog/tables.ts'
import { bytesHeld, estimateHere } from '../locks/duration.ts'
import { mayBeginAgain, whileLocked } from '../locks/transaction.ts'
import { named } from '../plan/restore-rights.ts'
import { compareLive, replaceRows } from '../restore/replace-rows.ts'
import { inSavepoint, isOfTheRows } from '../savepoint.ts'
import { changedIn, type DatabasePlan, type PlannedDatabase } from '../schema/plan.ts'
import { viewsOver } from '../views.ts'

type Replace = PlannedDatabase & {
  /** What was loaded. */
  tables: readonly BackedUpTable[]
  /** What reads tables, for people. */
  reading: readonly string[]
}

/**
 * Does what a restore of the loaded rows will do, to the live tables, and takes all of it back: the only proof where an
 * index, a generated column or a partition key calls functions that read tables, which a restore has to empty and fill. The
 * tables are locked as long as it takes, like in the wipe.
 * @returns what would come back otherwise, or a warning that there is no time for it
 * @throws RehearsalFailed naming the table that did not take its rows, and what it asks
 * @throws DatabaseBusy when the tables are not to be had
 * @see docs/decisions.md#a-restore-may-be-tried-on-the-live-tables
 */
export async function tryReplace(
  clients: Clients,
  connection: Connection,
  { run: { runId }, planned, tables, reading }: Replace,
): Promise<Warning[]> {
  const what = `${named(reading)}, which ${reading.length === 1 ? 'reads' : 'read'} tables for each row that is put in`
  // By the bytes of JSON, which are more than the tables': the application waits, and for a trial it need not.
  const asked = { work: 'restore', bytes: bytesHeld(tables) } as const
  const estimate = await estimateHere(connection, clients.config, asked)
  if (estimate.verdict === 'does not fit') {
    const message = `It is not proved that a restore can put the rows back: it would have to keep the tables locked for about ${Math.round(estimate.milliseconds / 1000)} s to try ${what}, and it has ${Math.round(estimate.limit / 1000)} s`
    return [{ code: 'NotProved', message }]
  }
  // What the role may not replace is told by a warning of its own.
  const locks = { exclusive: replaceable(planned), shared: [] }
  const taken = new Set(locks.exclusive.map(({ name }) => name))
  let isLocked = false
  try {
    return await whileLocked(clients, connection, { runId, locks }, async (locked) => {
      isLocked = true
      try {
        const { tables: live } = await readTables(locked, clients.config.DATABASE_SCHEMAS)
        const pairs = tables.flatMap((table) => {
          const now = live.find(({ name }) => name === table.name)
          return now === undefined || !taken.has(table.name) ? [] : [{ table, live: now }]
        })
        const emptied = () => refreshAsAfterWipe(locked, planned)
        await replaceRows(locked, { runId, sequences: [], pairs, emptied })
        return await compareLive(locked, { runId, pairs, fingerprints: planned.fingerprints })
      } catch (error) {
        isLocked = !mayBeginAgain(error) // what ends it then is that the locks were not to be had
        throw error
      } finally {
        await connection.query('ROLLBACK')
      }
    })
  } catch (cause) {
    const isOverBudget = cause instanceof DatabaseBusy && isLocked
    if (!(cause instanceof SchemaChanged || cause instanceof RehearsalFailed || isOverBudget)) {
      if (!isOfTheRows(cause)) throw cause
    }
    throw new RehearsalFailed(
      `What a restore does was tried on the live tables and taken back, and it could not put the rows back: ${messageOf(cause)}. Asked were ${what}. The live tables are as they were; drop what refuses the rows, or let its function raise no error where it finds no row`,
      { cause },
    )
  }
}

function replaceable({ tables }: DatabasePlan): Table[] {
  return tables.map(({ table }) => table).filter(({ owned, mayTruncate }) => owned && mayTruncate)
}

/** Materialized views show at a restore what they did after the wipe: nothing. One that cannot be refreshed stays as it is. */
async function refreshAsAfterWipe(connection: Connection, { tables }: DatabasePlan): Promise<void> {
  const going = changedIn(tables)
  for (const { sql, mayRefresh } of await viewsOver(connection, going)) {
    if (!mayRefresh) continue
    await inSavepoint(connection, () => connection.query(`REFRESH MATERIALIZED VIEW ${sql}`))
  }
}
