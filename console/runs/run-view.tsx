import { utc } from '../../lib/amounts.ts'
import type { Run } from '../../lib/http/answers/run.ts'
import { operationOf } from '../../lib/operations.ts'
import { Refused } from '../api.ts'
import { useLive } from '../page/live.ts'
import { Failure, Loading, Notice } from '../page/notice.tsx'
import { sentence } from '../page/sentence.ts'
import { useSession } from '../page/session.ts'
import { useTitle } from '../page/title.ts'
import { backupAddress } from '../route.ts'
import { Cancel } from './cancel.tsx'
import { Difference } from './difference.tsx'
import { NextSteps } from './next-steps.tsx'
import { Outcome, Warnings } from './outcome.tsx'
import { Plan } from './plan.tsx'
import { Status } from './status.tsx'
import { StepGraph } from './step-graph.tsx'
import { stagesOf } from './steps.ts'
import { aboutBackup, askedBy, headlineOf, isActive, staleSentence, statusOf, titleOf } from './wording.ts'

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
  useTitle(run === undefined ? 'Run' : `${statusOf(run)}: ${titleOf(run)}`)

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
  const stale = staleSentence(run)
  return (
    <>
      <Title run={run} headline={headlineOf(run, stages)} />
      {refused && <Failure error={refused} />}
      {stale && <Notice kind="info">{stale}</Notice>}
      {run.abridged && (
        <Notice kind="info">
          Lists of this run are too long for one answer, and are cut here. Sums are whole.
        </Notice>
      )}
      <StepGraph stages={stages} run={run} />
      <Cancel run={run} onAsked={reload} />
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
      <End run={run} />
    </>
  )
}

/** What it does, for whom, and how far it is. */
function Title({ run, headline }: { run: Run; headline: string }) {
  const about = aboutBackup(run)
  const to = run.to === null ? '' : `, to ${run.to}`
  return (
    <div class="title">
      <h1>
        {titleOf(run)}
        {to}
      </h1>
      <p class="lead">
        <Status run={run} /> <span role="status">{headline}</span>
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
  )
}

/** What came of it, when it has ended. */
function End({ run: { outcome, wouldDo, dryRun, operation } }: { run: Run }) {
  if (!outcome) return null
  return (
    <>
      {outcome.difference && (
        <Difference
          difference={outcome.difference}
          restores={wouldDo?.restores ?? null}
          isBetween={outcome.subject?.to !== undefined}
          isDryRun={dryRun}
        />
      )}
      <NextSteps outcome={outcome} />
      {operationOf(operation)?.actsOn === 'stores' && !dryRun && <Outcome outcome={outcome} />}
      <Warnings outcome={outcome} />
    </>
  )
}
