import * as z from 'zod'
import { RunLost, StoreUnavailable } from '../errors.ts'
import type { Connection } from '../postgres/connection.ts'
import { sqlStateOf } from '../postgres/errors.ts'
import { repeatedStep } from './step.ts'

/**
 * What the ledger holds of documents that lie in the bucket. Their signatures say that a step of ours wrote them; only
 * this says which of those counts: not the plan of a Count that was repeated, nor the late file of a wipe that was.
 */
export type Noted = {
  /** The attempt that was planned last. */
  attempt: number
  /** SHA-256 of the bytes of its plan; null: it was planned by a version that noted none. */
  planDigest: string | null
}

/** Which late file of a backup counts; null: none does. */
export const CountedLate = z
  .strictObject({ attempt: z.number().int().positive(), sha256: z.string().regex(/^[0-9a-f]{64}$/) })
  .nullable()
export type CountedLate = z.output<typeof CountedLate>

const Row = z.object({ attempt: z.number(), planDigest: z.string().nullable() })
const Late = z.object({ counts: CountedLate })

/** @throws RunLost when there is no such run */
export async function readNoted(connection: Connection, runId: string): Promise<Noted> {
  const answer = await connection.query(
    `SELECT attempt, plan_digest AS "planDigest" FROM taskmaster_reset.runs WHERE run_id = $1`,
    [runId],
  )
  if (answer.rows[0] === undefined) throw new RunLost(`Run ${runId} is not in the ledger. Start a new run`)
  return Row.parse(answer.rows[0])
}

/**
 * Notes which late file of its backup counts from here on, for whoever reads the backup by this ledger; null: none does.
 * @throws RunLost when the row is no longer this run's
 * @see docs/decisions.md#of-a-cache-steps-invocations-only-the-latest-acts
 */
export async function noteLate(connection: Connection, runId: string, late: CountedLate): Promise<void> {
  const noted: z.input<typeof Late> = { counts: late }
  const answer = await connection.query(
    `UPDATE taskmaster_reset.runs SET late = $2 WHERE run_id = $1 AND status = 'running'`,
    [runId, JSON.stringify(noted)],
  )
  if (answer.rowCount === 1) return
  throw lostAddition(runId)
}

/**
 * The same for a step of which an earlier invocation may be alive: only the latest one's files count. Else a straggler
 * would take away what the other relied on when it deleted, or put what came later in the place of what was deleted.
 * @param about `before`: what readLateNoted gave when the late file was made
 * @throws RunLost when the row is no longer this run's, or a later invocation has begun
 * @throws StoreUnavailable when another late file was noted since
 */
export async function replaceLate(
  connection: Connection,
  runId: string,
  about: { late: CountedLate; before: CountedLate | undefined; invocation: string | null },
): Promise<void> {
  const noted = (counts: CountedLate) => JSON.stringify({ counts } satisfies z.input<typeof Late>)
  const { late, before, invocation } = about
  const answer = await connection.query(
    `UPDATE taskmaster_reset.runs
     SET late = CASE WHEN late IS NOT DISTINCT FROM $3::jsonb AND latest_invocation IS NOT DISTINCT FROM $4
       THEN $2::jsonb ELSE late END
     WHERE run_id = $1 AND status = 'running'
     RETURNING late = $2::jsonb AS counts, latest_invocation IS NOT DISTINCT FROM $4 AS "isLatest"`,
    [runId, noted(late), before === undefined ? null : noted(before), invocation],
  )
  const [row] = answer.rows as { counts: boolean; isLatest: boolean }[]
  if (row === undefined) throw lostAddition(runId)
  if (!row.isLatest) throw repeatedStep(runId)
  if (row.counts) return // also when it did before, and only the answer was lost
  throw new StoreUnavailable(
    `The ledger has another late file of run ${runId} than the one that this step went on from, so what it added does not count, and nothing more is deleted. The step is repeated; if it ends with this error, start again`,
  )
}

/** Which late file of a backup counts; undefined: this ledger does not know, so the highest in the folder does. */
export async function readLateNoted(
  connection: Connection,
  backupId: string,
): Promise<CountedLate | undefined> {
  // As a document, because a ledger that was not brought up to date yet has no such column.
  const asked = connection.query(
    `SELECT to_jsonb(r) -> 'late' AS late FROM taskmaster_reset.runs AS r
     WHERE backup_id = $1 ORDER BY started_at DESC`,
    [backupId],
  )
  const answer = await asked.catch((error: unknown) => {
    if (sqlStateOf(error) === '42P01') return { rows: [] } // a database that is new has no ledger
    throw error
  })
  const noted = answer.rows.map(({ late }) => late).find((late) => late !== null && late !== undefined)
  return noted === undefined ? undefined : Late.parse(noted).counts
}

function lostAddition(runId: string): RunLost {
  return new RunLost(
    `Run ${runId} is no longer the active run, so what it added to its backup does not count`,
  )
}
