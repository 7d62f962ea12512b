import { labelsByBackup, readLabels } from '../../ledger/labels/labels.ts'
import { readNotes } from '../../ledger/labels/notes.ts'
import { selectRuns } from '../../ledger/runs.ts'
import type { Connection } from '../../postgres/connection.ts'

/** The run that made a backup. */
type RunOfBackup = { runId: string; operation: string; requestedBy: string | null }

/** What a backup is called, and where it comes from. */
export type Names = { labels: string[]; note: string | null; run: RunOfBackup | null }

/** What each of the backups is called; also of a ledger that knows no names. */
export async function namesOf(connection: Connection, ids: readonly string[]): Promise<Map<string, Names>> {
  if (ids.length === 0) return new Map()
  const labels = labelsByBackup(await readLabels(connection))
  const notes = await readNotes(connection, ids)
  const rows = await selectRuns(connection, 'WHERE backup_id = ANY ($1)', [[...ids]])
  const runs = new Map(
    rows.map(({ backupId, runId, operation, requestedBy }) => [backupId, { runId, operation, requestedBy }]),
  )
  return new Map(
    ids.map((id) => [
      id,
      { labels: labels.get(id) ?? [], note: notes.get(id) ?? null, run: runs.get(id) ?? null },
    ]),
  )
}
