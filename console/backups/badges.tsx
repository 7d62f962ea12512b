import type { BackupAnswer } from '../../lib/http/answers/backup.ts'
import { originOf, proofOf } from './proof.ts'

/** How far the backup is proved; and whether it is kept by hand. */
export function Badges({ backup }: { backup: BackupAnswer }) {
  const proof = proofOf(backup)
  return (
    <span class="badges">
      <span class={`badge ${proof.level === 'rehearsed' ? 'good' : 'plain'}`} title={proof.text}>
        {proof.label}
      </span>
      {backup.authentic !== 'signed' && (
        <span class="badge attention" title={originOf(backup)}>
          {backup.authentic === 'unsigned' ? 'Unsigned' : 'Unknown key'}
        </span>
      )}
      {backup.imported && (
        <span class="badge attention" title={originOf(backup)}>
          Imported
        </span>
      )}
      {backup.pinned && <span class="badge plain">Pinned</span>}
    </span>
  )
}

/** What a backup is called. */
export function Labels({ labels }: { labels: BackupAnswer['labels'] }) {
  return (
    <span class="badges">
      {labels?.map((label) => (
        <span key={label} class="badge label">
          {label}
        </span>
      ))}
    </span>
  )
}
