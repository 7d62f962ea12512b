import { eq, inArray, sql } from 'drizzle-orm'
import type { Connection } from '../../postgres/connection.ts'
import { storable } from '../../postgres/storable.ts'
import { notes } from '../schema.ts'
import { ledger } from '../tables.ts'
import { hasNames } from './labels.ts'

/** The note of each of these backups that has one; also of a ledger that has no notes yet. */
export async function readNotes(
  connection: Connection,
  ids: readonly string[],
): Promise<Map<string, string>> {
  if (ids.length === 0 || !(await hasNames(connection))) return new Map()
  const rows = await ledger(connection)
    .select({ backupId: notes.backupId, note: notes.note })
    .from(notes)
    .where(inArray(notes.backupId, [...ids]))
  return new Map(rows.map(({ backupId, note }) => [backupId, note]))
}

export async function setNote(
  connection: Connection,
  { backupId, note, by }: { backupId: string; note: string; by: string | null },
): Promise<void> {
  const said = { note: storable(note), setBy: by, setAt: sql`now()` }
  await ledger(connection)
    .insert(notes)
    .values({ backupId, ...said })
    .onConflictDoUpdate({ target: notes.backupId, set: said })
}

/** Of a backup that is gone, too. */
export async function removeNote(connection: Connection, backupId: string): Promise<void> {
  if (await hasNames(connection)) await ledger(connection).delete(notes).where(eq(notes.backupId, backupId))
}
