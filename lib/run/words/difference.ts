import type { DifferenceLine } from '../../store/words.ts'
import { type Target, targets } from '../../store.ts'
import { type ToldStores, words } from '../../stores/words.ts'
import type { Outcome } from '../outcome.ts'
import type { WouldDo } from './would-do.ts'

/**
 * What is not as it was in the backup, of all stores; empty: all of it is.
 * @param restores of a dry run: the restore that it stands for
 */
export function differenceLines(
  difference: NonNullable<Outcome['difference']>,
  restores: WouldDo['restores'] = null,
): DifferenceLine[] {
  const restore = { exact: restores?.exact ?? false }
  return targets.flatMap((target) => linesOf(target, difference[target], restore))
}

/**
 * What is said above the lines.
 * @param isBetween two backups were compared
 * @param isDryRun only what the restore that it stands for would put back was looked at
 */
export function differenceHeadings(isBetween: boolean, isDryRun = false) {
  return isBetween
    ? {
        ...{ nothing: 'The two backups hold the same.', caption: 'What is not the same in the two backups' },
        ...{ before: 'In the first', now: 'In the other', restore: 'A restore of the first' },
      }
    : {
        nothing: isDryRun
          ? 'All that would be put back is there as it was.'
          : 'All that the backup holds is there as it was.',
        caption: 'What is not as it was in the backup',
        ...{ before: 'In the backup', now: 'Now', restore: 'A restore' },
      }
}

function linesOf<T extends Target>(
  target: T,
  difference: ToldStores[T]['difference'] | null,
  restore: { exact: boolean },
): DifferenceLine[] {
  return difference === null ? [] : words[target].differs(difference, restore)
}
