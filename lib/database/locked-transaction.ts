import { setTimeout } from 'node:timers/promises'
import type { Clients, Connection } from '../clients.ts'
import { messageOf } from '../errors.ts'
import { noteGranted, noteWaiting } from '../run/ledger.ts'
import { ledgerLine } from '../run/ledger-line.ts'
import { budgetSettings, overspending, withinBudget } from './lock-budget.ts'
import { isRefusedLock, type Locks, lockTables } from './locks.ts'

/**
 * Milliseconds that one more lock is waited for when all tables are locked already (a sequence, a table that only some
 * statement needs). Less than the second after which Postgres looks for deadlocks, and may choose the application's session.
 */
const heldWaitMs = 500

/** Milliseconds that everybody else gets through before all is tried again. */
const pauseMs = 500

/**
 * Runs `work` in a REPEATABLE READ transaction that holds the locks; `work` commits it. The snapshot is taken by its first
 * query, so it sees what was committed while the locks were waited for. Until they are granted the ledger says what is
 * waited for, and the run can be cancelled. They are held for LOCK_BUDGET_MS at most. When another lock that the work needs
 * is refused, all are given back, and it begins again while there is time.
 * @throws DatabaseBusy when LOCK_TIMEOUT_MS or LOCK_BUDGET_MS are over; RunLost
 */
export async function whileLocked<Result>(
  clients: Clients,
  connection: Connection,
  { runId, locks }: { runId: string; locks: Locks },
  work: (connection: Connection) => Promise<Result>,
): Promise<Result> {
  const { config } = clients
  const until = performance.now() + config.LOCK_TIMEOUT_MS
  const ledger = ledgerLine(clients)
  const waiting = {
    ask: ledger.use,
    say: (text: string) => ledger.use((line) => noteWaiting(line, runId, text)),
  }
  try {
    await ledger.use((line) => noteWaiting(line, runId, 'waiting for locks'))
    for (;;) {
      await connection.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
      await lockTables(clients, connection, locks, waiting)
      const granted = performance.now()
      await connection.query(
        `SET LOCAL lock_timeout = ${Math.min(heldWaitMs, config.LOCK_TIMEOUT_MS)}; ${budgetSettings(config)}`,
      )
      await ledger.use((line) => noteGranted(line, runId))
      try {
        return await work(withinBudget(connection, config))
      } catch (error) {
        if (!isRefusedLock(error) || performance.now() >= until)
          throw overspending(error, config, performance.now() - granted)
        await connection.query('ROLLBACK')
        await waiting.say(
          `waiting for a lock that was refused while the tables were locked: ${messageOf(error)}`,
        )
        await setTimeout(pauseMs)
      }
    }
  } finally {
    await ledger.close()
  }
}
