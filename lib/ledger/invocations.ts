import type { Connection } from '../postgres/connection.ts'

/** An invocation that may change a store, or make a backup. */
type Invocation = {
  id: string
  runId: string
  /** As Lambda names it in its logs. */
  requestId: string
  /** The state that it carries out. */
  step: string
  /** Milliseconds until Lambda ends it. */
  remaining: number
}

/**
 * Writes down that the invocation may be alive until its deadline, by the database's clock. Under the lock of its run's
 * row: either it is written before the run ends, and the next run sees it, or it learns that the run is over.
 * Repeating it changes nothing.
 * @returns false when the run does not hold the lock any more; then it is not written down
 * @see docs/decisions.md#a-run-that-has-ended-may-be-closing
 */
export async function registerInvocation(
  connection: Connection,
  { id, runId, requestId, step, remaining }: Invocation,
): Promise<boolean> {
  const written = await connection.query(
    `${insertion} WHERE run_id = $2 AND status = 'running' FOR UPDATE ${again}`,
    [...[id, runId, requestId, step, remaining / 1000]],
  )
  return written.rowCount === 1
}

/** The same for a step that acts after its run has ended, and that looks at the ledger by itself. */
export async function registerAfterEnd(
  connection: Connection,
  { id, runId, requestId, step, remaining }: Invocation,
): Promise<void> {
  await connection.query(`${insertion} WHERE run_id = $2 ${again}`, [
    ...[id, runId, requestId, step, remaining / 1000],
  ])
}

const insertion = `INSERT INTO taskmaster_reset.invocations (id, run_id, request_id, step, deadline)
  SELECT $1, run_id, $3, $4, now() + make_interval(secs => $5) FROM taskmaster_reset.runs`
const again = 'ON CONFLICT (id) DO UPDATE SET deadline = excluded.deadline'

/** The invocation has ended. */
export async function forgetInvocation(connection: Connection, id: string): Promise<void> {
  await connection.query('DELETE FROM taskmaster_reset.invocations WHERE id = $1', [id])
}

/** Those that were killed before they could say that they end. */
export async function forgetDeadInvocations(connection: Connection): Promise<void> {
  await connection.query('DELETE FROM taskmaster_reset.invocations WHERE deadline <= now()')
}

/** The latest deadline of the invocations that may be alive, of the run in the row `r`: SQL. */
export const aliveUntil = `(SELECT max(deadline) FROM taskmaster_reset.invocations AS i
  WHERE i.run_id = r.run_id AND i.deadline > now())`
