import { useMemo } from 'preact/hooks'
import type { Strategy } from '../../lib/run/strategy.ts'
import { clock } from '../numbers.ts'
import { ConfirmDialog } from '../page/confirm-dialog.tsx'
import { useLive } from '../page/live.ts'
import { Failure, Loading } from '../page/notice.tsx'
import { useSession } from '../page/session.ts'
import { useStart } from '../page/start.ts'
import { consequencesOf, resetLabel, titleOf } from './consequences.ts'

/** Counted again when it opens, and while it is open: what is confirmed is what is there. */
export function ResetDialog({ strategy, onClose }: { strategy: Strategy; onClose: () => void }) {
  const { api, session } = useSession()
  const start = useStart()
  const { data: options, at, refused } = useLive('options to reset', api.options, () => 10_000)
  const confirm = session.environment
  const consequences = useMemo(() => options && consequencesOf(options, strategy), [options, strategy])

  return (
    <ConfirmDialog
      title={`Reset ${session.environment}: ${titleOf(strategy).toLowerCase()}`}
      action={options ? resetLabel(options, strategy) : 'Back up and wipe'}
      destructive
      obstacle={options ? undefined : 'Counting what is there …'}
      onConfirm={() => start({ operation: 'reset', strategy, confirm })}
      onClose={onClose}
    >
      {refused && <Failure error={refused} />}
      {!consequences && !refused && <Loading what="the counts" />}
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
}
