import { bytes, counted, utc } from '../../lib/amounts.ts'
import { readBackup } from '../../lib/backup/read.ts'
import type { Clients } from '../../lib/clients.ts'
import type { Outcome } from '../../lib/run/outcome.ts'
import type { Followed } from '../cli/run/follow.ts'
import { seconds, table } from '../cli/show/table.ts'
import { type Counts, totalOf } from './counts.ts'

/** What was counted, backed up and where, wiped and preserved; sizes are those stored in the backup. */
export async function summarize(
  { backups, config }: Clients,
  { outcome }: Followed,
  before: Counts,
): Promise<string> {
  const backup = await readBackup(backups, config.BACKUP_PREFIX, outcome.backupId ?? '')
  const { database, files, cache } = outcome.targets
  const cacheBytes = (backup.cache?.parts ?? []).reduce((sum, part) => sum + part.bytes, 0)
  return [
    `Run ${outcome.runId}: ${outcome.status.replaceAll('_', ' ')}, ${tookOf(outcome)}.\n\n`,
    table([
      ['', 'counted', 'backed up', 'wiped', 'preserved'],
      [
        'database',
        `${counted(totalOf(before.rows), 'row')} in ${counted(Object.keys(before.rows).length, 'table')}`,
        `${counted(backup.database?.rows ?? 0, 'row')}, ${bytes(backup.database?.bytes ?? 0)} zstd`,
        counted(database.rows, 'row'),
        'the ledger (taskmaster_reset)',
      ],
      [
        'files',
        `${counted(before.files.objects, 'file')}, ${bytes(before.files.bytes)}`,
        `${counted(backup.files?.objects ?? 0, 'file')}, ${bytes(backup.files?.bytes ?? 0)}`,
        `${counted(files.objects, 'file')}, ${bytes(files.bytes)}`,
        "the environment's mark",
      ],
      [
        'cache',
        counted(before.keys, 'key'),
        `${counted(backup.cache?.keys ?? 0, 'key')}, ${bytes(cacheBytes)} zstd`,
        counted(cache.keys, 'key'),
        "the environment's mark",
      ],
    ]),
    '\n',
    table(Object.entries(database.tables).map(([name, rows]) => [name, counted(rows, 'row'), 'wiped'])),
    `\nBackup: ${outcome.backupPrefix}\n`,
    `  the rows are of one moment (${backup.database?.consistency}); what was written was read back byte for byte`,
    backup.rehearsedAt === null ? '' : ';\n  the rows were loaded into a scratch schema and found identical',
    `; sealed at ${utc(backup.sealedAt)}\n`,
    outcome.warnings.map(({ code, message }) => `  Warning ${code}: ${message}\n`).join(''),
  ].join('')
}

function tookOf({ startedAt, finishedAt }: Outcome): string {
  return seconds(Date.parse(finishedAt) - Date.parse(startedAt))
}
