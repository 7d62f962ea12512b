import { useMemo } from 'preact/hooks'
import type { Run } from '../../lib/http/answers/run.ts'
import { ago } from '../numbers.ts'
import { useLive } from '../page/live.ts'
import { Notice } from '../page/notice.tsx'
import { useSession } from '../page/session.ts'
import { runAddress } from '../route.ts'
import { askedBy, isActive, titleOf } from './wording.ts'

/** The newest runs, and the one that is active: it may have been started by anybody, anywhere. */
export function useRuns() {
  const { api } = useSession()
  const live = useLive(
    'runs',
    () => api.runs(),
    () => 5000,
  )
  const active = useMemo(() => live.data?.runs.find(isActive), [live.data])
  return { ...live, active }
}

export function ActiveRun({ run }: { run: Run }) {
  return (
    <Notice kind="info">
      <p role="status">
        <strong>
          {titleOf(run)} is {run.status}
        </strong>
        {run.phase && `: ${run.phase}`}. Started {ago(new Date(), run.startedAt)} by{' '}
        {askedBy(run.requestedBy)}; one run at a time.
      </p>
      <a class="button" href={runAddress(run.runId)}>
        Watch it
      </a>
    </Notice>
  )
}
