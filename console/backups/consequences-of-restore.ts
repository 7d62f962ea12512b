import { utc } from '../../lib/amounts.ts'
import type { BackupAnswer } from '../../lib/http/answers/backup.ts'
import { putBeside, whatRestoreMeans } from '../../lib/run/words/now-and-after.ts'
import { type Target, targets } from '../../lib/store.ts'
import { words } from '../../lib/stores/words.ts'
import { listed } from '../numbers.ts'
import type { Amounts, EstimatedAmounts } from '../overview/shares.ts'

/** Counts of the chosen stores alone. */
function only<All extends Amounts>(counts: All, chosen: readonly Target[]): All {
  const others = targets.filter((target) => !chosen.includes(target))
  return { ...counts, ...Object.fromEntries(others.map((target) => [words[target].total, null])) }
}

/** The restore button says what it does. */
export function restoreLabel(backup: BackupAnswer, chosen: readonly Target[]): string {
  const counts = listed(only(backup, chosen))
  return counts === '' ? 'Choose what to put back' : `Back up, then put back ${counts}`
}

/** What the dialog says before anybody types the environment's name. `present`: what is there now, when it is known. */
export function consequencesOf(
  backup: BackupAnswer,
  {
    environment,
    chosen,
    exact,
    present,
    preserves = true,
  }: {
    environment: string
    chosen: readonly Target[]
    exact: boolean
    present: EstimatedAmounts | undefined
    /** Whether a reset would keep rows. */
    preserves?: boolean
  },
): string[] {
  if (chosen.length === 0) return []
  const now = present === undefined ? '' : listed(only(present, chosen), present.estimated)
  const hasRows = chosen.includes('database')
  return [
    `First a safety backup is taken of what is there now${now === '' ? '' : ` (${now})`}, so this can be undone.`,
    ...(hasRows
      ? [
          `The rows of the backup are those of ${utc(backup.startedAt)}; they are put into ${environment} in one transaction: all of them, or none.`,
        ]
      : []),
    ...whatRestoreMeans(chosen, { exact, preserves }),
    `It can be cancelled until ${hasRows ? 'rows' : putBeside(chosen)} are replaced.`,
  ]
}

/** What can be ticked as well; null where the chosen stores hold nothing that could stay beside the backup's. */
export function exactLabel(chosen: readonly Target[]): string | null {
  const what = putBeside(chosen)
  return what === '' ? null : `Remove ${what} that are not in the backup`
}

export function deleteConsequences(backup: BackupAnswer): string[] {
  return [
    `The backup of ${utc(backup.startedAt)} is deleted, with all that it holds: ${listed(backup)}. It cannot be restored afterwards.`,
    'Pinned backups and those in use are refused, and of each strategy the newest and the newest rehearsed one.',
  ]
}
