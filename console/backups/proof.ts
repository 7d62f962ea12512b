import { utc } from '../../lib/amounts.ts'
import type { Backup } from '../../lib/http/answers/backup.ts'

/** How far a backup was proved. What was written of a sealed one was read back; a rehearsed one was also loaded. */
export type Proof = { level: 'rehearsed' | 'sealed'; label: string; text: string }

type Proved = Pick<Backup, 'rehearsedAt' | 'rows' | 'files' | 'keys' | 'lateAttempts'>

export function proofOf(backup: Proved): Proof {
  const { rehearsedAt, rows, keys, lateAttempts } = backup
  const found = foundAgain(backup)
  if (rehearsedAt !== null) {
    // What is written under the wipe's locks is not loaded: the application waits for them.
    const late =
      lateAttempts === 0 ? '' : ' Rows that changed after that, until the wipe, were read back only.'
    return {
      level: 'rehearsed',
      label: 'Rehearsed',
      text: `Loaded into a scratch schema on ${utc(rehearsedAt)}, and every row was found again.${late} ${found}`,
    }
  }
  const why =
    rows === null ? 'It holds no rows that could be loaded.' : 'Its rows were not loaded for a test.'
  const label = rows === null && keys === null ? 'Copies found' : 'Read back'
  return { level: 'sealed', label, text: `${found} ${why}` }
}

/** Rows and keys are written by us and read back; files are copied by S3, which is asked what it has. */
function foundAgain({ rows, files, keys }: Proved): string {
  return [
    ...(rows !== null || keys !== null ? ['What was written was read back byte for byte.'] : []),
    ...(files === null
      ? []
      : ["S3's copies of the files were all found, with the size and ETag that it had given them."]),
  ].join(' ')
}

/** Who made a backup, as far as its signature says. */
export function originOf(authentic: Backup['authentic']): string {
  if (authentic === 'signed') return 'Signed with a key of this environment, so it is what was backed up.'
  const why =
    authentic === 'unsigned' ? 'It carries no signature.' : 'It is signed with a key that is not known here.'
  return `${why} Whoever can write to the bucket may have made or changed it.`
}
