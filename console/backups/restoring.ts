import type { Backup } from '../../lib/http/backups.ts'
import { type Target, targets } from '../../lib/run/strategy.ts'
import { dateOf, listed } from '../numbers.ts'

/** The stores that a backup holds. */
export function heldBy({ rows, files, keys }: Pick<Backup, 'rows' | 'files' | 'keys'>): Target[] {
  const holds: Record<Target, boolean> = {
    database: rows !== null,
    files: files !== null,
    cache: keys !== null,
  }
  return targets.filter((target) => holds[target])
}

/** The restore button says what it does. */
export function restoreLabel(backup: Backup, chosen: readonly Target[]): string {
  const counts = listed({
    rows: chosen.includes('database') ? backup.rows : null,
    files: chosen.includes('files') ? backup.files : null,
    keys: chosen.includes('cache') ? backup.keys : null,
  })
  return counts === '' ? 'Choose what to put back' : `Back up, then put back ${counts}`
}

/** What the dialog says before anybody types the environment's name. */
export function consequencesOf(
  backup: Backup,
  {
    environment,
    chosen,
    exact,
    present,
  }: { environment: string; chosen: readonly Target[]; exact: boolean; present: string },
): string[] {
  const others = exact ? 'go too' : 'stay and are reported'
  return [
    `First a safety backup is taken of what is there now${present === '' ? '' : ` (${present})`}, so this can be undone.`,
    ...(chosen.includes('database')
      ? [
          `Then all rows of its tables in ${environment} are replaced by those of ${dateOf(backup.startedAt)}, in one transaction: all of it, or nothing.`,
        ]
      : []),
    ...(chosen.includes('files') || chosen.includes('cache')
      ? [`Files and cache keys of the backup are put back; those that came later ${others}.`]
      : []),
    'It can be cancelled until rows are replaced.',
  ]
}

export function deleteConsequences(backup: Backup): string[] {
  return [
    `The backup of ${dateOf(backup.startedAt)} is deleted, with ${listed(backup) || 'all that it holds'}. This cannot be undone.`,
    'The newest backup, the newest rehearsed one, pinned ones and those in use are refused.',
  ]
}
