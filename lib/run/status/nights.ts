import { hasLedger } from '../../ledger/tables.ts'
import { operationsOn } from '../../operations.ts'
import type { Connection } from '../../postgres/connection.ts'

/** What became of a day, by the run that counts of it: the last one of the schedule, else the last one. */
export type Night = { day: string; runId: string | null; operation: string | null; status: string | null }

/**
 * Days and their runs that act on the stores, dry ones left out; also of a ledger that an earlier version made.
 * @param days as `2026-11-22`, in UTC
 */
export async function nightsOf(connection: Connection, days: readonly string[]): Promise<Night[]> {
  const none = { runId: null, operation: null, status: null }
  if (!(await hasLedger(connection))) return days.map((day) => ({ day, ...none }))
  const { rows } = await connection.query(
    `SELECT DISTINCT ON (day) to_char(started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS day,
       run_id AS "runId", operation, status
     FROM taskmaster_reset.runs
     WHERE started_at >= $1 AND operation = ANY ($2) AND (plan ->> 'dryRun') IS DISTINCT FROM 'true'
     ORDER BY day, requested_by LIKE 'schedule%' DESC NULLS LAST, started_at DESC`,
    [`${days[0]}T00:00:00Z`, operationsOn('stores')],
  )
  const found = new Map((rows as Night[]).map((night) => [night.day, night]))
  return days.map((day) => found.get(day) ?? { day, ...none })
}

/** The backups of the last runs that succeeded and took one of these strategies, the newest first; null: of any. */
export async function lastTaken(
  connection: Connection,
  strategies: ReadonlySet<string> | null,
): Promise<string[]> {
  if (!(await hasLedger(connection))) return []
  const { rows } = await connection.query(
    `SELECT backup_id AS "backupId" FROM taskmaster_reset.runs
     WHERE status LIKE 'succeeded%' AND backup_id IS NOT NULL AND ($1::text[] IS NULL OR strategy = ANY ($1))
     ORDER BY started_at DESC LIMIT 20`,
    [strategies && [...strategies]],
  )
  return rows.map(({ backupId }) => backupId)
}
