import { getTableColumns } from 'drizzle-orm'
import { EnvironmentUnclaimed, NotFound } from '../errors.ts'
import { isOneStep } from '../operations.ts'
import type { Connection } from '../postgres/connection.ts'
import { aliveUntil } from './invocations.ts'
import { runs } from './schema.ts'
import { hasLedger, tablesOf } from './tables.ts'

export type RunRow = typeof runs.$inferSelect & {
  /** Of a run that is over: until when an invocation of it may be alive, and no other run begins; null: none is. */
  closingUntil: Date | null
}

/** What a step tells about itself while it works, keyed `<step>/<batch>` in the ledger. */
export type Progress = Record<string, { done: number; total: number }>

/** The steps after which a run cannot be left as if it had never begun. */
export const changing = /^(Wipe|Restore|Delete)( |$)/

/** The steps of which the ledger's register knows each invocation: those, and Seal, whose last request makes a backup of what lies there. */
export const registered = /^(Seal|Wipe|Restore|Delete)( |$)/

/**
 * Whether the run has changed something, or may be about to: it cannot be left as if it had never begun. A step that
 * changes may still be waiting for its locks.
 */
function hasBegunToChange({
  phase,
  waiting,
  wiped,
  restored,
}: Pick<RunRow, 'phase' | 'waiting' | 'wiped' | 'restored'>): boolean {
  return (changing.test(phase) && waiting === null) || wiped !== null || restored !== null
}

/** Whether a run is under way and has changed nothing yet. A claim is one step, which is over when the row is there. */
export function isCancellable(run: RunRow): boolean {
  return run.status === 'running' && !isOneStep(run.operation) && !hasBegunToChange(run)
}

/** The run's row, locked until the transaction ends. */
export async function lockRun(connection: Connection, runId: string): Promise<RunRow | undefined> {
  const [row] = await selectRuns(connection, 'WHERE run_id = $1 FOR UPDATE OF r', [runId])
  return row
}

export async function findRun(connection: Connection, runId: string): Promise<RunRow | undefined> {
  const [row] = await selectRuns(connection, 'WHERE run_id = $1', [runId])
  return row
}

/**
 * Reads rows of the ledger, also of one that an earlier version made, which lacks columns: those are null.
 * @param rest the statement after its FROM, where the row is `r`
 */
export async function selectRuns(
  connection: Connection,
  rest: string,
  values: readonly unknown[] = [],
): Promise<RunRow[]> {
  const has = await tablesOf(connection)
  if (!has.runs) return []
  const closing = has.invocations
    ? `CASE WHEN status <> 'running' THEN ${aliveUntil} END`
    : 'NULL::timestamptz'
  const found = await connection.query(
    `SELECT r.*, ${closing} AS closing_until FROM taskmaster_reset.runs AS r ${rest}`,
    [...values],
  )
  return found.rows.map(rowOf)
}

function rowOf(told: Record<string, unknown>): RunRow {
  const columns = Object.entries(getTableColumns(runs))
  const row = Object.fromEntries(columns.map(([key, { name }]) => [key, told[name] ?? null])) as RunRow
  return { ...row, fence: Number(row.fence), closingUntil: told.closing_until as Date | null }
}

/** @throws NotFound when there is no such run */
export async function readRun(connection: Connection, runId: string): Promise<RunRow> {
  const row = await findRun(connection, runId)
  if (row === undefined)
    throw new NotFound(`There is no run ${runId} in the ledger. List the runs to see their ids`)
  return row
}

/**
 * The newest runs first.
 * @param before a run's id: those that started before it, for the next page
 * @throws EnvironmentUnclaimed when there is no ledger
 */
export async function listRuns(connection: Connection, limit: number, before?: string): Promise<RunRow[]> {
  if (!(await hasLedger(connection))) {
    throw new EnvironmentUnclaimed('The database has no ledger yet: claim the environment first')
  }
  const earlier = `WHERE (started_at, run_id) < (SELECT started_at, run_id FROM taskmaster_reset.runs WHERE run_id = $2)`
  return selectRuns(
    connection,
    `${before === undefined ? '' : earlier} ORDER BY started_at DESC, run_id DESC LIMIT $1`,
    before === undefined ? [limit] : [limit, before],
  )
}
