import { counted, utc } from '../../lib/amounts.ts'
import { readBackup } from '../../lib/backup/read.ts'
import type { Clients } from '../../lib/clients.ts'
import type { Outcome } from '../../lib/run/outcome.ts'
import { type Target, targets } from '../../lib/store.ts'
import type { Followed } from '../cli/run/follow.ts'
import { seconds, table } from '../cli/show/table.ts'
import type { CountsOfStores, Demonstrations } from './counts.ts'

/** What was counted, backed up and where, wiped and preserved; sizes are those stored in the backup. */
export async function summarize(
  { backups, config }: Clients,
  { outcome }: Followed,
  { demonstrations, before }: { demonstrations: Demonstrations; before: CountsOfStores },
): Promise<string> {
  const backup = await readBackup(backups, config.BACKUP_PREFIX, outcome.backupId ?? '')
  const rowOf = <T extends Target>(store: T) => [
    store,
    ...demonstrations[store].summary({ before: before[store], backup, outcome }),
  ]
  return [
    `Run ${outcome.runId}: ${outcome.status.replaceAll('_', ' ')}, ${tookOf(outcome)}.\n\n`,
    table([['', 'counted', 'backed up', 'wiped', 'preserved'], ...targets.map(rowOf)]),
    '\n',
    table(
      Object.entries(outcome.targets.database.tables).map(([name, rows]) => [
        name,
        counted(rows, 'row'),
        'wiped',
      ]),
    ),
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
