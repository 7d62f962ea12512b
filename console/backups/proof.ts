import { utc } from '../../lib/amounts.ts'
import type { BackupAnswer } from '../../lib/http/answers/backup.ts'
import { heldBy, isWritten, storesIn } from '../../lib/run/words/held.ts'
import type { Target } from '../../lib/store.ts'
import { stores } from '../stores/stores.ts'

/** How far a backup was proved. What was written of a sealed one was read back; a rehearsed one was also loaded. */
export type Proof = { level: 'rehearsed' | 'sealed'; label: string; text: string }

type Proved = Pick<BackupAnswer, 'rehearsedAt' | 'rows' | 'files' | 'keys' | 'lateAttempts'>

export function proofOf(backup: Proved): Proof {
  const { rehearsedAt, rows, lateAttempts } = backup
  const held = storesIn(heldBy(backup))
  const found = foundAgain(held)
  if (rehearsedAt !== null) {
    // What is written under the wipe's locks is not loaded: the application waits for them.
    const late =
      lateAttempts === 0 ? '' : ' Rows that changed after that, until the wipe, were read back only.'
    return {
      level: 'rehearsed',
      label: 'Rehearsed',
      text: `Every row was loaded into a scratch schema and found again; the oldest proof is of ${utc(rehearsedAt)}.${late} ${found}`,
    }
  }
  const why =
    rows === null ? 'It holds no rows that could be loaded.' : 'Its rows were not loaded for a test.'
  const label = isWritten(held) ? 'Read back' : 'Copies found'
  return { level: 'sealed', label, text: `${found} ${why}` }
}

/** Whether some of what it took over from an earlier backup was loaded for that one, or before. */
export function isProvedEarlier<Of extends Pick<BackupAnswer, 'rehearsedAt' | 'startedAt'>>(
  backup: Of,
): backup is Of & { rehearsedAt: string } {
  return backup.rehearsedAt !== null && backup.rehearsedAt < backup.startedAt
}

/** What is written by us is read back; of what is copied by another it is asked what it has. */
function foundAgain(held: readonly Target[]): string {
  return [
    ...(isWritten(held) ? ['What was written was read back byte for byte.'] : []),
    ...held.flatMap((target) => stores[target].foundAgain ?? []),
  ].join(' ')
}

/** Who made a backup, as far as its signature says. */
export function originOf({ authentic, imported }: Pick<BackupAnswer, 'authentic' | 'imported'>): string {
  if (authentic === 'signed' && imported !== undefined)
    return `Signed with a key of this environment, when it was uploaded by ${imported.by}: it is what lay in a folder that a download of ${imported.from} had made. Its rows had the sums that were signed then; files and keys are the folder's.`
  if (authentic === 'signed') return 'Signed with a key of this environment, so it is what was backed up.'
  const why =
    authentic === 'unsigned' ? 'It carries no signature.' : 'It is signed with a key that is not known here.'
  return `${why} Whoever can write to the bucket may have made or changed it.`
}
