import type { Backup } from '../../lib/http/backups.ts'
import { dateOf } from '../numbers.ts'

/** How far a backup was proved. Every sealed one was read back; a rehearsed one was also loaded. */
export type Proof = { level: 'rehearsed' | 'read back'; label: string; text: string }

export function proofOf({
  rehearsedAt,
  rows,
  lateAttempts,
}: Pick<Backup, 'rehearsedAt' | 'rows' | 'lateAttempts'>): Proof {
  if (rehearsedAt !== null) {
    // What is written under the wipe's locks is not loaded: the application waits for them.
    const late =
      lateAttempts === 0 ? '' : ' Rows that changed after that, until the wipe, were read back only.'
    return {
      level: 'rehearsed',
      label: 'Rehearsed',
      text: `Loaded into a scratch schema on ${dateOf(rehearsedAt)}, and every row was found again.${late} Every object was read back byte for byte.`,
    }
  }
  const why =
    rows === null ? 'It holds no rows that could be loaded.' : 'Its rows were not loaded for a test.'
  return { level: 'read back', label: 'Read back', text: `Every object was read back byte for byte. ${why}` }
}

/** Who made a backup, as far as its signature says. */
export function originOf(authentic: Backup['authentic']): string {
  if (authentic === 'signed') return 'Signed by this environment, so it is what was backed up.'
  const why =
    authentic === 'unsigned' ? 'It carries no signature.' : 'It is signed with a key that is not known here.'
  return `${why} Whoever can write to the bucket may have made or changed it.`
}
