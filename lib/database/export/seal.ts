import type { Manifest } from '../../backup/manifest.ts'
import type { Sealer } from '../../store.ts'
import type { DatabasePlan } from '../schema/plan.ts'
import { readExported, readRehearsed } from './results.ts'

/**
 * The database's section of the manifest: every shard that was planned is there once, and every table that had many rows
 * has some.
 * @throws BackupIncomplete naming what is missing or does not agree
 */
export const sealDatabase: Sealer<DatabasePlan, NonNullable<Manifest['database']>> = async (
  { backups },
  { run, planned, rehearse },
) => {
  const { tables, sequences } = await readExported(backups, { run, planned })
  const rehearsed = rehearse ? await readRehearsed(backups, run) : null
  return {
    held: {
      serverVersion: planned.serverVersion,
      consistency: planned.batches > 1 ? 'reconciled' : 'snapshot',
      ...(planned.fingerprints.version === 1 ? {} : { seed: planned.fingerprints.seed }),
      rows: tables.reduce((sum, table) => sum + table.rows, 0),
      bytes: tables.flatMap(({ parts }) => parts).reduce((sum, part) => sum + part.bytes, 0),
      tables,
      sequences,
    },
    rehearsedAt: rehearsed?.rehearsedAt ?? null,
    warnings: rehearsed?.warnings ?? [],
  }
}
