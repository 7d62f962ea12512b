import { setTimeout } from 'node:timers/promises'
import type { Clients } from '../../clients.ts'
import { DatabaseBusy, messageOf } from '../../errors.ts'
import { type LedgerLine, ledgerLine } from '../../ledger/line.ts'
import { noteGranted, noteWaiting } from '../../ledger/step.ts'
import { logger } from '../../log.ts'
import type { Connection } from '../../postgres/connection.ts'
import { sqlStateOf } from '../../postgres/errors.ts'
import { budgetSettings, overspending, withinBudget } from './budget.ts'
import { isRefusedLock, type Locks, lockTables } from './locks.ts'
import { changeOf, changeUnder, readNames, renamed } from './names.ts'

/**
 * Milliseconds that one more lock is waited for when all tables are locked already (a sequence, a table that only some
 * statement needs). Less than the second after which Postgres looks for deadlocks, and may choose the application's session.
 */
const heldWaitMs = 500

/** Milliseconds that everybody else gets through before all is tried again. */
const pauseMs = 500

/**
 * The serialization failure, or the other version of a schema, that ends it. One is met once in a while, when the ledger's row is
 * written in that very moment, or a deployment says its GRANTs; what fails so each time is code of the application, and every
 * further try would lock the tables for nothing.
 */
const mostFailures = 3

/** What `work` is given beside its connection. */
export type Locked = {
  /** @throws BackupIsStale when schemas were renamed since before the locks: what was read by names may be of other tables */
  checkNames: () => Promise<void>
  /** Ends the transaction, when the names are those of before. @throws as checkNames */
  commit: () => Promise<void>
}

/**
 * Runs `work` in a REPEATABLE READ transaction that holds the locks; `work` commits it by what it is given for it. The snapshot is taken by its first
 * query, so it sees what was committed while the locks were waited for. Until they are granted the ledger says what is
 * waited for, and the run can be cancelled. They are held for LOCK_BUDGET_MS at most. When another lock that the work needs
 * is refused, the ledger's row is written in the moment in which it is locked, or a schema was given other rights meanwhile, all
 * are given back, and it begins again while there is time, for the latter two a few times at most.
 * @throws DatabaseBusy when LOCK_TIMEOUT_MS or LOCK_BUDGET_MS are over; RunLost; BackupIsStale in place of a COMMIT, and of
 *   whatever else it showed as, when schemas were renamed meanwhile
 * @see docs/decisions.md#the-wiping-transaction-is-repeatable-read
 */
export async function whileLocked<Result>(
  clients: Clients,
  connection: Connection,
  { runId, locks }: { runId: string; locks: Locks },
  work: (connection: Connection, locked: Locked) => Promise<Result>,
): Promise<Result> {
  const { config } = clients
  const until = performance.now() + config.LOCK_TIMEOUT_MS
  const ledger = ledgerLine(clients)
  const named = [...locks.exclusive, ...locks.shared]
  const waiting = {
    ask: ledger.use,
    say: (text: string) => ledger.use((line) => noteWaiting(line, runId, text)),
  }
  const look = () => ledger.use((line) => readNames(line, named))
  try {
    await ledger.use((line) => noteWaiting(line, runId, 'waiting for locks'))
    for (let failures = 0; ; ) {
      const before = await look()
      await connection.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
      await lockTables(clients, connection, locks, waiting)
      const granted = performance.now()
      await connection.query(
        `SET LOCAL lock_timeout = ${Math.min(heldWaitMs, config.LOCK_TIMEOUT_MS)}; ${budgetSettings(config)}`,
      )
      await ledger.use((line) => noteGranted(line, runId))
      const within = withinBudget(connection, config)
      const checkNames = async () => {
        if (changeOf(before, await look()) !== null) throw renamed()
      }
      const commit = async () => {
        await checkNames()
        await within.query('COMMIT')
      }
      try {
        return await work(within, { checkNames, commit })
      } catch (cause) {
        const found = overspending(cause, config, performance.now() - granted)
        // A connection that broke has rolled back by itself, or has committed: then nothing may be said of what changed.
        const isWhole = await connection.query('ROLLBACK').then(
          () => true,
          () => false,
        )
        const change = isWhole ? await changeUnder(found, before, look) : null
        const error = change === null ? found : renamed(found)
        const isFailure = change === 'touched' || stateOf(error) === serializationFailure
        if (isFailure) failures++
        const mayAgain = isFailure || mayBeginAgain(error)
        if (!mayAgain || failures === mostFailures || performance.now() >= until) {
          await noteGivenBack(ledger, runId)
          throw error
        }
        const what = isFailure ? 'another try' : 'a lock that was refused while the tables were locked'
        await waiting.say(`waiting for ${what}: ${messageOf(error)}`)
        await setTimeout(pauseMs)
      }
    }
  } finally {
    await ledger.close()
  }
}

const serializationFailure = '40001'

/**
 * Whether what was refused may be granted next time. A sign of life of the run, or a second invocation of the step that
 * tells that it waits, writes the row between the snapshot and the fence's lock now and then: a serialization failure.
 */
export function mayBeginAgain(error: unknown): boolean {
  return isRefusedLock(refusalIn(error)) || stateOf(error) === serializationFailure
}

/** What the look at the tables tells in our words is a refusal all the same. */
function refusalIn(error: unknown): unknown {
  return error instanceof DatabaseBusy ? error.cause : error
}

function stateOf(error: unknown): string | undefined {
  return sqlStateOf(refusalIn(error))
}

/** Milliseconds that the ledger's row is waited for, which a transaction of ours holds that the server has not ended yet. */
const rowWaitMs = 1000

/**
 * A step that failed under its locks is repeated later: until then nothing is changed, and the run can be cancelled. The
 * transaction is over when its run's row can be written: it holds that row; what it committed after all, the row says.
 */
async function noteGivenBack(ledger: LedgerLine, runId: string): Promise<void> {
  try {
    await ledger.use(async (line) => {
      await line.query(`SET lock_timeout = ${rowWaitMs}`)
      await noteWaiting(
        line,
        runId,
        'waiting for another try: the tables were locked, and given back unchanged',
      )
    })
  } catch (error) {
    // The step's own error is the one to report.
    logger.warn('that the locks were given back could not be noted in the ledger', {
      reason: messageOf(error),
    })
  }
}
