import { useState } from 'preact/hooks'
import { Refused } from '../api.ts'
import { dateOf } from '../numbers.ts'
import { useLive } from '../page/live.ts'
import { Failure, Loading, Notice } from '../page/notice.tsx'
import { useSession } from '../page/session.ts'
import { backupAddress } from '../route.ts'
import { Outcome } from './outcome.tsx'
import { Plan } from './plan.tsx'
import { Status } from './status.tsx'
import { StepGraph } from './step-graph.tsx'
import { stagesOf } from './steps.ts'
import { askedBy, headlineOf, isActive, titleOf } from './wording.ts'

const actsOnStores = new Set(['backup', 'reset', 'restore'])

/** One run: live while it is active, its outcome afterwards. */
export function RunView({ runId }: { runId: string }) {
  const { api } = useSession()
  const {
    data: run,
    refused,
    reload,
  } = useLive(
    runId,
    () => api.run(runId),
    (run) => (isActive(run) ? 1000 : run.closingUntil === null ? null : 5000),
  )
  const [isCancelling, setCancelling] = useState(false)
  const [error, setError] = useState<Error>()

  async function cancel(): Promise<void> {
    setCancelling(true)
    setError(undefined)
    try {
      await api.cancel(runId)
    } catch (thrown) {
      if (!(thrown instanceof Error)) throw thrown
      setError(thrown)
    } finally {
      setCancelling(false)
      reload()
    }
  }

  if (!run) {
    return (
      <>
        <h1>Run</h1>
        {refused ? <Failure error={refused} /> : <Loading what="the run" />}
        {refused instanceof Refused && refused.status === 404 && <a href="#/runs">All runs</a>}
      </>
    )
  }
  const stages = stagesOf(run)
  return (
    <>
      <div class="title">
        <h1>{titleOf(run)}</h1>
        <p class="lead">
          <Status status={run.status} /> <span role="status">{headlineOf(run, stages)}</span>
        </p>
        <p class="muted">
          Started <time dateTime={run.startedAt}>{dateOf(run.startedAt)}</time> by {askedBy(run.requestedBy)}
          {run.restoredBackupId && (
            <>
              {' '}
              · from <a href={backupAddress(run.restoredBackupId)}>{run.restoredBackupId}</a>
            </>
          )}
        </p>
      </div>
      {refused && <Failure error={refused} />}
      {run.attempt > 0 && (
        <Notice kind="info">
          More was written since the backup than may be added under the lock, so it counts and backs up again.
          Nothing is wiped yet.
        </Notice>
      )}
      <StepGraph stages={stages} />
      {isActive(run) && run.status === 'running' && (
        <div class="actions">
          <button type="button" disabled={!run.cancellable || isCancelling} onClick={() => void cancel()}>
            {isCancelling ? 'Cancelling …' : 'Cancel this run'}
          </button>
          <p class="muted">
            {run.cancellable
              ? 'Possible until something is wiped or replaced.'
              : 'Too late to cancel: the stores are being changed.'}
          </p>
        </div>
      )}
      {error && <Failure error={error} />}
      {run.error && (
        <Notice kind="attention">
          <strong>{run.error.name}</strong>
          <p>{run.error.message}</p>
        </Notice>
      )}
      {run.closingUntil && (
        <Notice kind="info">
          <p>
            A function of this run may be at work until{' '}
            <time dateTime={run.closingUntil}>{dateOf(run.closingUntil)}</time>. The next run can begin when
            it has ended.
          </p>
        </Notice>
      )}
      {run.dryRun && run.plan && <Plan plan={run.plan} operation={run.operation} />}
      {run.outcome && actsOnStores.has(run.operation) && !run.dryRun && <Outcome outcome={run.outcome} />}
    </>
  )
}
