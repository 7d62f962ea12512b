import { useState } from 'preact/hooks'
import type { BackupAnswer } from '../../lib/http/answers/backup.ts'
import { heldBy, storesIn } from '../../lib/run/words/held.ts'
import type { Target } from '../../lib/store.ts'
import { contentsOf } from '../overview/shares.ts'
import { ConfirmDialog } from '../page/confirm-dialog.tsx'
import { useLive } from '../page/live.ts'
import { useSession } from '../page/session.ts'
import { useStart } from '../page/start.ts'
import { stores } from '../stores/stores.ts'
import { consequencesOf, exactLabel, restoreLabel } from './consequences-of-restore.ts'
import { originOf } from './proof.ts'

/** Puts a backup back, after a safety backup of what is there now. */
export function RestoreDialog({ backup, onClose }: { backup: BackupAnswer; onClose: () => void }) {
  const { api, session } = useSession()
  const { environment } = session
  const start = useStart()
  const { data: options } = useLive('options to restore', api.options, () => 10_000)
  const held = storesIn(heldBy(backup))
  const [chosen, setChosen] = useState(held)
  const [exact, setExact] = useState(false)
  const [allowForeign, setAllowForeign] = useState(false)
  const [allowUnsigned, setAllowUnsigned] = useState(false)
  const isSigned = backup.authentic === 'signed'
  const isForeign = backup.environment !== environment
  const present = options && contentsOf(options)
  const extras = exactLabel(chosen)
  const choose = (target: Target, wanted: boolean) =>
    setChosen(held.filter((one) => (one === target ? wanted : chosen.includes(one))))

  return (
    <ConfirmDialog
      title={`Restore into ${environment}`}
      action={restoreLabel(backup, chosen)}
      destructive
      obstacle={obstacle()}
      onConfirm={() =>
        start({
          operation: 'restore',
          backupId: backup.backupId,
          targets: chosen,
          exact,
          allowForeign,
          ...(allowUnsigned ? { allowUnsigned } : {}),
          confirm: environment,
        })
      }
      onClose={onClose}
    >
      <fieldset>
        <legend>Put back</legend>
        {held.map((target) => (
          <Choice
            key={target}
            label={stores[target].title}
            checked={chosen.includes(target)}
            onChange={(wanted) => choose(target, wanted)}
          />
        ))}
      </fieldset>
      {extras !== null && <Choice label={extras} checked={exact} onChange={setExact} />}
      {isForeign && (
        <Choice
          label={`This is a backup of ${backup.environment}; put it into ${environment} all the same`}
          checked={allowForeign}
          onChange={setAllowForeign}
        />
      )}
      {!isSigned && (
        <Choice
          label={`${originOf(backup.authentic)} I know where it comes from`}
          checked={allowUnsigned}
          onChange={setAllowUnsigned}
        />
      )}
      <ol class="consequences">
        {consequencesOf(backup, { environment, chosen, exact, present }).map((sentence) => (
          <li key={sentence}>{sentence}</li>
        ))}
      </ol>
    </ConfirmDialog>
  )

  function obstacle(): string | undefined {
    if (chosen.length === 0) return 'Nothing is chosen to be put back.'
    if (isForeign && !allowForeign) return `The backup is of ${backup.environment}, not of ${environment}.`
    if (!isSigned && !allowUnsigned) return 'Nobody known here signed the backup.'
    return undefined
  }
}

type ChoiceProps = { label: string; checked: boolean; onChange: (checked: boolean) => void }

function Choice({ label, checked, onChange }: ChoiceProps) {
  return (
    <label class="choice">
      <input type="checkbox" checked={checked} onChange={(event) => onChange(event.currentTarget.checked)} />
      {label}
    </label>
  )
}
