import { useState } from 'preact/hooks'
import { utc } from '../../lib/amounts.ts'
import { operationOf } from '../../lib/operations.ts'
import { Refused } from '../api.ts'
import { useLive } from '../page/live.ts'
import { Failure, Loading, Notice } from '../page/notice.tsx'
import { sentence } from '../page/sentence.ts'
import { useSession } from '../page/session.ts'
import { useTitle } from '../page/title.ts'
import { backupAddress } from '../route.ts'
import { Difference } from './difference.tsx'
import { NextSteps } from './next-steps.tsx'
import { obstacleToCancelling } from './obstacle-to-cancel.ts'
import { Outcome, Warnings } from './outcome.tsx'
import { Plan } from './plan.tsx'
import { Status } from './status.tsx'
import { StepGraph } from './step-graph.tsx'
import { stagesOf } from './steps.ts'
import {
  aboutBackup,
  askedBy,
  cancelSentence,
  headlineOf,
  isActive,
  staleSentence,
  statusOf,
  titleOf,
} from './wording.ts'

/** One run: live while it is active, its outcome afterwards. */
export function RunView({ runId }: { runId: string }) {
  const { api, session } = useSession()
  const {
    data: run,
    refused,
    reload,
  } = useLive(
    runId,
    () => api.run(runId),
    (run) => (isActive(run) ? 1000 : run.closingUntil === null ? null : 5000),
  )
  useTitle(run === undefined ? 'Run' : `${statusOf(run)}: ${titleOf(run)}`)
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
  const about = aboutBackup(run)
  const stale = staleSentence(run)
  const obstacle = obstacleToCancelling(session, run)
  const to = run.to === null ? '' : `, to ${run.to}`
  return (
    <>
      <div class="title">
        <h1>
          {titleOf(run)}
          {to}
        </h1>
        <p class="lead">
          <Status run={run} /> <span role="status">{headlineOf(run, stages)}</span>
        </p>
        <p class="muted">
          Started <time dateTime={run.startedAt}>{utc(run.startedAt)}</time> by {askedBy(run.requestedBy)}
          {about && (
            <>
              {' '}
              · {about.says} <a href={backupAddress(about.backupId)}>{about.backupId}</a>
            </>
          )}
        </p>
      </div>
      {refused && <Failure error={refused} />}
      {stale && <Notice kind="info">{stale}</Notice>}
      {run.abridged && (
        <Notice kind="info">
          Lists of this run are too long for one answer, and are cut here. Sums are whole.
        </Notice>
      )}
      <StepGraph stages={stages} run={run} />
      {isActive(run) && run.status === 'running' && (
        <div class="actions">
          <button
            type="button"
            disabled={!run.cancellable || isCancelling || obstacle !== null}
            onClick={() => void cancel()}
          >
            {isCancelling ? 'Cancelling …' : 'Cancel this run'}
          </button>
          <p class="muted">{obstacle ?? cancelSentence(run)}</p>
        </div>
      )}
      {error && <Failure error={error} />}
      {run.error && (
        <Notice kind="attention">
          <strong>{run.error.name}</strong>
          <p>{sentence(run.error.message)}</p>
        </Notice>
      )}
      {run.closingUntil && (
        <Notice kind="info">
          <p>
            A function of this run may be at work until{' '}
            <time dateTime={run.closingUntil}>{utc(run.closingUntil)}</time>. The next run can begin when it
            has ended.
          </p>
        </Notice>
      )}
      {run.wouldDo && <Plan wouldDo={run.wouldDo} operation={run.operation} />}
      {run.outcome?.difference && (
        <Difference
          difference={run.outcome.difference}
          restores={run.wouldDo?.restores ?? null}
          isBetween={run.outcome.subject?.to !== undefined}
          isDryRun={run.dryRun}
        />
      )}
      {run.outcome && <NextSteps outcome={run.outcome} />}
      {run.outcome && operationOf(run.operation)?.actsOn === 'stores' && !run.dryRun && (
        <Outcome outcome={run.outcome} />
      )}
      {run.outcome && <Warnings outcome={run.outcome} />}
    </>
  )
}
