import type { Connection } from '../../postgres/connection.ts'

/** The run that made a backup. */
export type RunOfBackup = { runId: string; operation: string; requestedBy: string | null }

/** What a backup is called, and where it comes from. */
export type Names = { labels: string[]; note: string | null; run: RunOfBackup | null }

/** What each of the backups is called; also of a ledger that knows no names. */
export async function namesOf(_connection: Connection, ids: readonly string[]): Promise<Map<string, Names>> {
  return new Map(ids.map((id) => [id, { labels: [], note: null, run: null }]))
}
