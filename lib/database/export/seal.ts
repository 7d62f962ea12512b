import type { Manifest, Warning } from '../../backup/manifest.ts'
import type { Clients } from '../../clients.ts'
import type { PlannedDatabase } from '../plan-section.ts'
import { readExported, readRehearsed } from './results.ts'

/**
 * The database's section of the manifest: every shard that was planned is there once, and every table that had many rows
 * has some.
 * @param rehearse whether the plan says that the parts are loaded and compared before
 * @returns `rehearsedAt`: when they were; null for a plan without a rehearsal
 * @throws BackupIncomplete naming what is missing or does not agree
 */
export async function sealDatabase(
  { backups }: Pick<Clients, 'backups'>,
  { run, planned, rehearse }: PlannedDatabase & { rehearse: boolean },
): Promise<{ held: NonNullable<Manifest['database']>; rehearsedAt: string | null; warnings: Warning[] }> {
  const { tables, sequences } = await readExported(backups, { run, planned })
  const rehearsed = rehearse ? await readRehearsed(backups, run) : null
  return {
    held: {
      serverVersion: planned.serverVersion,
      consistency: planned.batches > 1 ? 'reconciled' : 'snapshot',
      rows: tables.reduce((sum, table) => sum + table.rows, 0),
      bytes: tables.flatMap(({ parts }) => parts).reduce((sum, part) => sum + part.bytes, 0),
      tables,
      sequences,
    },
    rehearsedAt: rehearsed?.rehearsedAt ?? null,
    warnings: rehearsed?.warnings ?? [],
  }
}
