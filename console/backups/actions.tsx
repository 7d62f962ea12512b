import { useState } from 'preact/hooks'
import type { BackupAnswer, BackupDetails } from '../../lib/http/answers/backup.ts'
import type { Run } from '../../lib/http/answers/run.ts'
import { attempt } from '../page/attempt.ts'
import { useSession } from '../page/session.ts'
import { useStart } from '../page/start.ts'
import { DeleteDialog } from './delete-dialog.tsx'
import { NamesDialog } from './names-dialog.tsx'
import { missingOf } from './needed-scopes.ts'
import { RestoreDialog } from './restore-dialog.tsx'

type Props = {
  backup: BackupDetails
  active: Run | undefined
  onChanged: () => void
  onError: (error: Error | undefined) => void
}

/** Restore, verify, pin, delete: what the token may do, and what can be done now. */
export function Actions({ backup, active, onChanged, onError }: Props) {
  const { api, session } = useSession()
  const start = useStart()
  const [open, setOpen] = useState<'restore' | 'delete' | 'names'>()
  const may = (scope: string) => session.scopes.includes(scope)
  const { backupId, pinned } = backup
  const pinScope = pinned ? 'delete' : 'backup'
  const isBusy = active !== undefined
  const isLabelled = (backup.labels?.length ?? 0) > 0

  const verify = (rehearse: boolean) => () =>
    attempt(onError, () => start({ operation: 'verify', backupId, rehearse }))
  const pin = () =>
    attempt(onError, async () => {
      await api.pin(backupId, !pinned)
      onChanged()
    })

  return (
    <>
      <div class="actions">
        <button
          type="button"
          class="danger"
          disabled={isBusy || session.protected || !may('restore')}
          onClick={() => setOpen('restore')}
        >
          Restore …
        </button>
        <button type="button" disabled={isBusy} onClick={verify(false)}>
          Verify
        </button>
        {backup.rows !== null && (
          <button type="button" disabled={isBusy || !may('backup')} onClick={verify(true)}>
            Verify and rehearse
          </button>
        )}
        <button type="button" disabled={!may(pinScope)} aria-pressed={pinned} onClick={pin}>
          {pinned ? 'Unpin' : 'Pin'}
        </button>
        <button type="button" disabled={!may('restore') && !may('backup')} onClick={() => setOpen('names')}>
          Label …
        </button>
        <button
          type="button"
          class="danger"
          disabled={isBusy || pinned || isLabelled || !may('delete')}
          onClick={() => setOpen('delete')}
        >
          Delete …
        </button>
      </div>
      <Reasons backup={backup} missing={missingOf(backup, session.scopes)} />
      {open === 'restore' && <RestoreDialog backup={backup} onClose={() => setOpen(undefined)} />}
      {open === 'names' && (
        <NamesDialog backup={backup} onChanged={onChanged} onClose={() => setOpen(undefined)} />
      )}
      {open === 'delete' && <DeleteDialog backup={backup} onClose={() => setOpen(undefined)} />}
    </>
  )
}

function Reasons({ backup, missing }: { backup: BackupAnswer; missing: string[] }) {
  const { session } = useSession()
  const scopes = new Intl.ListFormat('en').format(new Set(missing))
  return (
    <>
      {scopes !== '' && (
        <p class="reason muted">
          The token "{session.name}" may not do all of this: it lacks {scopes}.
        </p>
      )}
      {session.protected && (
        <p class="reason muted">{session.environment} is protected: nothing is replaced in it.</p>
      )}
      {backup.pinned && <p class="reason muted">A pinned backup is never pruned or deleted.</p>}
      {(backup.labels?.length ?? 0) > 0 && (
        <p class="reason muted">A backup with a label is never pruned or deleted.</p>
      )}
    </>
  )
}
