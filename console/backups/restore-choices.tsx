import type { BackupDetails } from '../../lib/http/answers/backup.ts'
import { heldBy, storesIn } from '../../lib/run/words/held.ts'
import type { Target } from '../../lib/store.ts'
import { stores } from '../stores/stores.ts'
import { exactLabel } from './consequences-of-restore.ts'
import { originOf } from './proof.ts'

/** What of a backup is put back, and what of it is accepted. */
export type RestoreChoices = {
  chosen: Target[]
  exact: boolean
  allowForeign: boolean
  allowUnsigned: boolean
}

type Asked = { backup: BackupDetails; environment: string; choices: RestoreChoices }

export function ChoicesOf({
  backup,
  environment,
  choices: { chosen, exact, allowForeign, allowUnsigned },
  onChange,
}: Asked & { onChange: (changed: Partial<RestoreChoices>) => void }) {
  const held = storesIn(heldBy(backup))
  const extras = exactLabel(chosen)
  const choose = (target: Target, wanted: boolean) =>
    onChange({ chosen: held.filter((one) => (one === target ? wanted : chosen.includes(one))) })
  return (
    <>
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
      {extras !== null && <Choice label={extras} checked={exact} onChange={(exact) => onChange({ exact })} />}
      {isForeign(backup, environment) && (
        <Choice
          label={`This is a backup of ${backup.environment}; put it into ${environment} all the same`}
          checked={allowForeign}
          onChange={(allowForeign) => onChange({ allowForeign })}
        />
      )}
      {!isSigned(backup) && (
        <Choice
          label={`${originOf(backup)} I know where it comes from`}
          checked={allowUnsigned}
          onChange={(allowUnsigned) => onChange({ allowUnsigned })}
        />
      )}
      {isSigned(backup) && backup.imported && <p>{originOf(backup)}</p>}
    </>
  )
}

/** Why it cannot be restored as it was chosen. */
export function obstacleIn({ backup, environment, choices }: Asked): string | undefined {
  if (choices.chosen.length === 0) return 'Nothing is chosen to be put back.'
  if (isForeign(backup, environment) && !choices.allowForeign)
    return `The backup is of ${backup.environment}, not of ${environment}.`
  if (!isSigned(backup) && !choices.allowUnsigned) return 'Nobody known here signed the backup.'
  return undefined
}

function isForeign(backup: BackupDetails, environment: string): boolean {
  return backup.environment !== environment
}

function isSigned({ authentic }: BackupDetails): boolean {
  return authentic === 'signed'
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
