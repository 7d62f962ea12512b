import { useMemo, useState } from 'preact/hooks'
import { clock } from '../numbers.ts'
import { Bars } from '../page/bars.tsx'
import { ConfirmDialog } from '../page/confirm-dialog.tsx'
import { useLive } from '../page/live.ts'
import { Failure, Loading } from '../page/notice.tsx'
import { useSession } from '../page/session.ts'
import { useStart } from '../page/start.ts'
import { backLabel, consequencesOf, consequencesOfGoingBack, resetLabel, titleOf } from './consequences.ts'
import { type Baseline, baselinesFor } from './goal.ts'
import { Goals } from './goals.tsx'
import { pictureOf } from './picture.ts'
import type { Wish } from './strategies.tsx'

type Props = { wish: Wish; labelled: readonly Baseline[]; onClose: () => void }

/** Counted again when it opens, and while it is open: what is confirmed is what is there. */
export function ResetDialog({ wish: { strategy, to }, labelled, onClose }: Props) {
  const { api, session } = useSession()
  const start = useStart()
  const [wanted, setWanted] = useState(to)
  const { data: options, at, refused } = useLive('options to reset', api.options, () => 10_000)
  const confirm = session.environment
  const baselines = baselinesFor(labelled, strategy)
  const baseline = baselines.find(({ label }) => label === wanted)
  const consequences = useMemo(
    () =>
      options &&
      (baseline === undefined
        ? consequencesOf(options, strategy)
        : consequencesOfGoingBack(options, strategy, baseline)),
    [options, strategy, baseline],
  )
  const action = baseline === undefined ? 'Back up and wipe' : backLabel(baseline, strategy)

  return (
    <ConfirmDialog
      title={`Reset ${session.environment}: ${titleOf(strategy).toLowerCase()}`}
      action={options && baseline === undefined ? resetLabel(options, strategy) : action}
      destructive
      obstacle={obstacle()}
      onConfirm={() =>
        start({
          operation: 'reset',
          strategy,
          confirm,
          ...(baseline !== undefined && { to: baseline.label, toBackupId: baseline.backupId }),
        })
      }
      onClose={onClose}
    >
      <Goals baselines={baselines} chosen={wanted} onChoose={setWanted} />
      {refused && <Failure error={refused} />}
      {!consequences && !refused && <Loading what="the counts" />}
      {options && (
        <Bars
          caption="What each store holds now, and what it holds after the reset"
          headings={{ what: 'Store', from: 'Now', to: 'After', becomes: 'So' }}
          lines={pictureOf(options, strategy, baseline)}
        />
      )}
      {consequences && (
        <ol class="consequences">
          {consequences.map((sentence) => (
            <li key={sentence}>{sentence}</li>
          ))}
        </ol>
      )}
      {at && <p class="muted">Counted at {clock(at)}.</p>}
    </ConfirmDialog>
  )

  function obstacle(): string | undefined {
    if (!options) return 'Counting what is there …'
    // Its label may have been taken away while the dialog was open: then it must not become a reset to zero.
    if (wanted !== null && baseline === undefined)
      return `There is no backup with the label ${wanted} any more.`
    return undefined
  }
}
