import type { TargetedSubmitEvent } from 'preact'
import { useId, useLayoutEffect, useRef, useState } from 'preact/hooks'
import type { BackupAnswer } from '../../lib/http/answers/backup.ts'
import { attempt } from '../page/attempt.ts'
import { Failure } from '../page/notice.tsx'
import { useSession } from '../page/session.ts'

type Props = { backup: BackupAnswer; onChanged: () => void; onClose: () => void }

/** Gives a backup a label, by which a reset goes back to it, and a note. What the token may not change is not asked for. */
export function NamesDialog({ backup, onChanged, onClose }: Props) {
  const { api, session } = useSession()
  const dialog = useRef<HTMLDialogElement>(null)
  const [label, setLabel] = useState('')
  const [note, setNote] = useState(backup.note ?? '')
  const [error, setError] = useState<Error>()
  const [isBusy, setBusy] = useState(false)
  const id = useId()
  const may = (scope: string) => session.scopes.includes(scope)
  useLayoutEffect(() => dialog.current?.showModal(), [])

  async function change(names: { label?: string | null; note?: string | null }): Promise<void> {
    setBusy(true)
    const isDone = await attempt(setError, async () => {
      if (Object.keys(names).length > 0) await api.rename(backup.backupId, names)
      onChanged()
    })
    if (isDone) dialog.current?.close()
    else setBusy(false)
  }

  function save(event: TargetedSubmitEvent<HTMLFormElement>): void {
    event.preventDefault()
    if (isBusy) return
    const noted = note.trim()
    void change({
      ...(label.trim() !== '' && { label: label.trim() }),
      ...(noted !== (backup.note ?? '') && { note: noted === '' ? null : noted }),
    })
  }

  return (
    <dialog ref={dialog} aria-labelledby={`${id}-title`} onClose={onClose}>
      <form onSubmit={save} noValidate>
        <h2 id={`${id}-title`}>Label and note</h2>
        {may('restore') && (
          <>
            <TextField
              label="Label"
              value={label}
              maxLength={39}
              placeholder="baseline"
              onText={setLabel}
              isName
            />
            <p class="muted">
              A reset can go back to the backup that has the label. It moves here from the one that had it,
              and keeps the backup from being pruned or deleted.
            </p>
          </>
        )}
        {may('backup') && <TextField label="Note" value={note} maxLength={500} onText={setNote} />}
        {error && <Failure error={error} />}
        <div class="actions end">
          {(backup.labels?.length ?? 0) > 0 && may('restore') && may('delete') && (
            <button
              type="button"
              class="danger"
              disabled={isBusy}
              onClick={() => void change({ label: null })}
            >
              Take the label away
            </button>
          )}
          <button type="button" disabled={isBusy} onClick={() => dialog.current?.close()}>
            Cancel
          </button>
          <button type="submit" class="primary" disabled={isBusy}>
            {isBusy ? 'Saving …' : 'Save'}
          </button>
        </div>
      </form>
    </dialog>
  )
}

type FieldProps = {
  label: string
  value: string
  maxLength: number
  placeholder?: string
  /** What is typed is no prose: nothing is completed or corrected. */
  isName?: boolean
  onText: (text: string) => void
}

function TextField({ label, isName = false, onText, ...input }: FieldProps) {
  return (
    <label class="field">
      <span>{label}</span>
      <input
        type="text"
        {...input}
        onInput={(event) => onText(event.currentTarget.value)}
        {...(isName && { autocomplete: 'off', autocapitalize: 'none', spellcheck: false })}
      />
    </label>
  )
}
