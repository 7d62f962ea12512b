import { useState } from 'preact/hooks'
import type { Run } from '../../lib/http/answers/run.ts'
import { attempt } from '../page/attempt.ts'
import { Failure } from '../page/notice.tsx'
import { useSession } from '../page/session.ts'
import { obstacleToCancelling } from './obstacle-to-cancel.ts'
import { cancelSentence, isActive } from './wording.ts'

type Props = { run: Run; onAsked: () => void }

/** Cancels a run that is at work. Why it could not be cancelled stays there when it has ended meanwhile. */
export function Cancel({ run, onAsked }: Props) {
  const { api, session } = useSession()
  const [isBusy, setBusy] = useState(false)
  const [error, setError] = useState<Error>()
  const obstacle = obstacleToCancelling(session, run)

  async function cancel(): Promise<void> {
    setBusy(true)
    await attempt(setError, () => api.cancel(run.runId))
    setBusy(false)
    onAsked()
  }

  return (
    <>
      {isActive(run) && run.status === 'running' && (
        <div class="actions">
          <button
            type="button"
            disabled={!run.cancellable || isBusy || obstacle !== null}
            onClick={() => void cancel()}
          >
            {isBusy ? 'Cancelling …' : 'Cancel this run'}
          </button>
          <p class="muted">{obstacle ?? cancelSentence(run)}</p>
        </div>
      )}
      {error && <Failure error={error} />}
    </>
  )
}
