import { utc } from '../../lib/amounts.ts'
import type { BackupAnswer } from '../../lib/http/answers/backup.ts'
import { ConfirmDialog } from '../page/confirm-dialog.tsx'
import { useSession } from '../page/session.ts'
import { useStart } from '../page/start.ts'
import { deleteConsequences } from './consequences-of-restore.ts'

export function DeleteDialog({ backup, onClose }: { backup: BackupAnswer; onClose: () => void }) {
  const { environment } = useSession().session
  const start = useStart()
  return (
    <ConfirmDialog
      title={`Delete a backup of ${backup.environment}`}
      action={`Delete the backup of ${utc(backup.startedAt)}`}
      destructive
      onConfirm={() => start({ operation: 'delete', backupId: backup.backupId, confirm: environment })}
      onClose={onClose}
    >
      <ol class="consequences">
        {deleteConsequences(backup).map((sentence) => (
          <li key={sentence}>{sentence}</li>
        ))}
      </ol>
    </ConfirmDialog>
  )
}
