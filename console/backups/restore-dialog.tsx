import { useState } from 'preact/hooks'
import type { BackupDetails } from '../../lib/http/answers/backup.ts'
import { heldBy, storesIn } from '../../lib/run/words/held.ts'
import { wouldBeRefused } from '../../lib/run/words/would-words.ts'
import type { Target } from '../../lib/store.ts'
import { contentsOf, shareOf } from '../overview/shares.ts'
import { Bars } from '../page/bars.tsx'
import { ConfirmDialog } from '../page/confirm-dialog.tsx'
import { useLive } from '../page/live.ts'
import { Failure, Notice } from '../page/notice.tsx'
import { useSession } from '../page/session.ts'
import { useStart } from '../page/start.ts'
import { stores } from '../stores/stores.ts'
import { useComparison } from './comparison.ts'
import { consequencesOf, exactLabel, restoreLabel } from './consequences-of-restore.ts'
import { originOf } from './proof.ts'
import { thenAndNow } from './then-and-now.ts'

/** Puts a backup back, after a safety backup of what is there now. */
export function RestoreDialog({ backup, onClose }: { backup: BackupDetails; onClose: () => void }) {
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

  const request = {
    ...{ operation: 'restore' as const, backupId: backup.backupId, targets: chosen, exact, allowForeign },
    ...(allowUnsigned && { allowUnsigned }),
  }
  const comparison = useComparison(request)
  const difference = comparison.run?.outcome?.difference ?? null
  const { lines, rest, isCompared } = thenAndNow(backup, options, { chosen, exact, difference })
  const refused = comparison.run?.wouldDo ? wouldBeRefused(comparison.run.wouldDo) : null
  const preserves = options !== undefined && (shareOf(options, 'database')?.stays ?? 0) > 0

  return (
    <ConfirmDialog
      title={`Restore into ${environment}`}
      action={restoreLabel(backup, chosen)}
      destructive
      obstacle={obstacle() ?? (comparison.isAtWork ? 'It is being compared; one run at a time.' : undefined)}
      onConfirm={() => start({ ...request, confirm: environment })}
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
          label={`${originOf(backup)} I know where it comes from`}
          checked={allowUnsigned}
          onChange={setAllowUnsigned}
        />
      )}
      {isSigned && backup.imported && <p>{originOf(backup)}</p>}
      {lines.length > 0 && (
        <>
          <Bars
            caption="What the backup holds, and what is there now"
            headings={{
              what: 'What',
              from: 'In the backup',
              to: 'Now',
              becomes: isCompared ? 'A restore' : 'Difference',
            }}
            lines={lines}
          />
          {rest && <p class="muted">{rest}</p>}
          <div class="actions">
            <button
              type="button"
              disabled={comparison.isAtWork || obstacle() !== undefined}
              onClick={comparison.begin}
            >
              {comparison.isAtWork ? 'Comparing …' : 'Compare row by row'}
            </button>
            <p class="muted">
              {isCompared
                ? 'Compared by a dry run just now; nothing was changed.'
                : 'These are counts. A dry run compares each row, file and key.'}
            </p>
          </div>
          {comparison.error && <Failure error={comparison.error} />}
          {refused && (
            <Notice kind="attention" announced>
              <p>The restore {refused}</p>
            </Notice>
          )}
        </>
      )}
      <ol class="consequences">
        {consequencesOf(backup, { environment, chosen, exact, present, preserves }).map((sentence) => (
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
