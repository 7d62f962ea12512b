import type { Clients } from '../../clients.ts'
import { checkMark, placeOfName, readEnvironment } from '../../ledger/environment.ts'
import { labelsByBackup, readLabels } from '../../ledger/labels/labels.ts'
import { type RunRow, selectRuns } from '../../ledger/runs.ts'
import { isOneStep, type OperationName, operationOf, operations, saidAs } from '../../operations.ts'
import type { Connection } from '../../postgres/connection.ts'
import { databaseError } from '../../postgres/errors.ts'
import { withConnection } from '../../postgres/with-connection.ts'
import { backupIdOf } from '../layout.ts'

/** What the ledger says about pruning. `refused`: why nothing may be pruned now; null: something may. */
type LedgerView = {
  refused: string | null
  /** The active runs that need the backup, and the one at whose end the prune takes place. */
  neededBy: (backupId: string) => string[]
  /** What the backup is called, which keeps it. */
  labelsOf: (backupId: string) => string[]
}

/**
 * Looks whether backups may be pruned: the latest run that ended must have succeeded, and no active run may need a backup
 * that is not known yet. Dry runs, claims and deletes say nothing about backups, nor does a verify that succeeded: after a
 * failed backup it must not let older ones go. `endOf` is the run at whose end the prune takes place: while it is
 * active, it is the latest one and has succeeded so far.
 * @throws EnvironmentUnclaimed, EnvironmentMismatch when this is not the ledger of the environment
 */
export async function readLedger(
  connection: Connection,
  { config }: Pick<Clients, 'config'>,
  endOf: string | null,
): Promise<LedgerView> {
  const row = await readEnvironment(connection)
  checkMark(placeOfName, row?.name, config)
  const active = await selectRuns(connection, `WHERE status = 'running'`)
  // Of those that ended at the same moment, one that failed.
  const [latest] = await selectRuns(
    connection,
    `WHERE finished_at IS NOT NULL AND ${isTelling} ORDER BY finished_at DESC, status LIKE 'succeeded%' LIMIT 1`,
  )
  // What the run has just made stays, however old a clock that was wrong may have made it.
  const own = endOf === null ? [] : await selectRuns(connection, 'WHERE run_id = $1', [endOf])
  const others = active.filter(({ runId }) => runId !== endOf)
  const isAtEnd = others.length < active.length
  const labels = labelsByBackup(await readLabels(connection))
  return {
    refused: others.map(whyWait).find((reason) => reason !== null) ?? (isAtEnd ? null : whyNot(latest)),
    neededBy: (backupId) =>
      [...active, ...own].filter((run) => isNeeded(backupId, run)).map(({ runId }) => runId),
    labelsOf: (backupId) => labels.get(backupId) ?? [],
  }
}

/**
 * Which backups are of runs that the ledger does not know, although it is the one that they were taken with: those that were sealed since
 * the environment was claimed. What is older was taken with a ledger that was lost.
 * @see docs/decisions.md#a-prune-lets-go-what-runs-of-its-own-ledger-have-taken
 */
export async function readUnknown(
  connection: Connection,
): Promise<(backup: { runId: string; sealedAt: string }) => boolean> {
  const { rows } = await connection.query(
    `SELECT claimed_at AS since, ARRAY(SELECT run_id FROM taskmaster_reset.runs) AS runs FROM taskmaster_reset.environment`,
  )
  const [{ since, runs } = { since: null, runs: [] }] = rows as { since: Date | null; runs: string[] }[]
  const known = new Set(runs)
  return ({ runId, sealedAt }) => since !== null && new Date(sealedAt) >= since && !known.has(runId)
}

/**
 * Keeps every run from beginning, moving on and ending while `use` looks and acts, which must take moments only. `held`
 * asks whether it still does: to be called right before what cannot be undone, for the lock goes with its connection, and
 * nobody says so.
 * @throws DatabaseBusy when the ledger is not to be had within LOCK_TIMEOUT_MS
 * @throws StoreUnavailable when the connection broke
 */
export async function whileLedgerStands<Result>(
  clients: Clients,
  use: (connection: Connection, held: () => Promise<unknown>) => Promise<Result>,
): Promise<Result> {
  return withConnection(clients, async (connection) => {
    try {
      await connection.query(`SET lock_timeout = ${clients.config.LOCK_TIMEOUT_MS}`)
      await connection.query('BEGIN')
      await connection.query('LOCK TABLE taskmaster_reset.runs IN SHARE ROW EXCLUSIVE MODE')
      const result = await use(connection, () => connection.query('SELECT 1'))
      await connection.query('COMMIT')
      return result
    } catch (error) {
      throw databaseError(error)
    }
  })
}

type Kind = (typeof operations)[OperationName]

/** The operations of a kind, as SQL lists them. */
function namesOf(isOfKind: (kind: Kind) => boolean): string {
  const names = Object.entries(operations).filter(([, kind]) => isOfKind(kind))
  return names.map(([name]) => `'${name}'`).join(', ')
}

const isTelling = `(plan ->> 'dryRun') IS DISTINCT FROM 'true'
  AND operation NOT IN (${namesOf(({ actsOn, changes }) => actsOn === 'environment' || changes === 'deleted')})
  AND NOT (operation IN (${namesOf(({ actsOn, changes }) => actsOn === 'backup' && changes === null)}) AND status LIKE 'succeeded%')`

function whyWait({ runId, operation, plan }: RunRow): string | null {
  const changes = operationOf(operation)?.changes
  if (changes === 'replaced') return `run ${runId} is restoring a backup. Nothing is pruned meanwhile`
  if (changes === 'deleted') return `run ${runId} is deleting a backup. Nothing is pruned meanwhile`
  if (plan !== null || isOneStep(operation)) return null
  return `run ${runId} has only begun, and which backup it needs is not known yet. Prune again in a moment`
}

function whyNot(latest: RunRow | undefined): string | null {
  if (latest === undefined)
    return 'no backup, reset or restore has ended in this environment yet. Nothing is pruned before one has succeeded'
  if (latest.status === 'succeeded' || latest.status === 'succeeded_with_warnings') return null
  return `the run ${latest.runId} (${saidAs(latest.operation)}) ended as ${latest.status}, and no backup, reset or restore has succeeded since. Nothing is pruned until one has`
}

/** A run needs what its attempts write, the next one included, which may begin at any time, and whatever its row names. */
function isNeeded(backupId: string, run: RunRow): boolean {
  if (JSON.stringify(run).includes(backupId)) return true
  const startedAt = run.startedAt.toISOString()
  return Array.from({ length: run.attempt + 2 }, (_, attempt) =>
    backupIdOf({ runId: run.runId, attempt, startedAt }),
  ).includes(backupId)
}
