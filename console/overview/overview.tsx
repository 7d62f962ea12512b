import { useEffect, useRef, useState } from 'preact/hooks'
import type { Run } from '../../lib/http/answers/run.ts'
import { isUnclaimed } from '../../lib/run/words/claim-state.ts'
import { howMany } from '../../lib/store.ts'
import { clock, listed } from '../numbers.ts'
import { useLive } from '../page/live.ts'
import { Failure, Loading, Notice } from '../page/notice.tsx'
import { useSession } from '../page/session.ts'
import { ActiveRun, useRuns } from '../runs/active-run.tsx'
import { ClaimDialog } from './claim-dialog.tsx'
import { notAllAreShown } from './consequences.ts'
import { Contents } from './contents.tsx'
import { ResetDialog } from './reset-dialog.tsx'
import { contentsOf } from './shares.ts'
import { StatusStrip } from './status/status-strip.tsx'
import { Strategies, type Wish } from './strategies.tsx'

/** What is there, and what can be done with it. */
export function Overview() {
  const { api, session } = useSession()
  const { data: options, at, refused, reload } = useLive('options', api.options, () => null)
  const { data: status, refused: unknown, reload: reloadStatus } = useLive('status', api.status, () => 60_000)
  const { active } = useRuns()
  useWhenItEnds(active, reload)
  useWhenItEnds(active, reloadStatus)
  const [wish, setWish] = useState<Wish>()
  const [isClaiming, setClaiming] = useState(false)

  const labelled = status?.labelled ?? []
  return (
    <>
      <div class="title">
        <h1>{session.environment}</h1>
        {options && (
          <p class="lead">
            {listed(contentsOf(options), contentsOf(options).estimated)}
            <span class="muted"> · counted at {at && clock(at)} </span>
            <button type="button" class="quiet" onClick={reload}>
              Count again
            </button>
          </p>
        )}
      </div>
      {active && <ActiveRun run={active} />}
      {unknown && !refused && <Failure error={unknown} />}
      {status && <StatusStrip status={status} />}
      {refused && <Failure error={refused} />}
      {!options && !refused && <Loading what="the counts" />}
      {options && (
        <>
          {options.protected && (
            <Notice kind="protected">
              <strong>{options.environment} is protected.</strong> Nothing is wiped or replaced here. Dry runs
              and backups are possible.
            </Notice>
          )}
          {isUnclaimed(options) && (
            <Notice kind="attention">
              <p>
                <strong>{options.environment} is not claimed yet.</strong> Until its name is written into all{' '}
                {howMany} stores, nothing can be wiped: so a wrong address cannot hit another environment.
              </p>
              {session.scopes.includes('reset') && (
                <button type="button" onClick={() => setClaiming(true)}>
                  Claim …
                </button>
              )}
            </Notice>
          )}
          {options.abridged && <Notice kind="info">{notAllAreShown}</Notice>}
          <Strategies options={options} labelled={labelled} active={active} onReset={setWish} />
          <Contents options={options} />
        </>
      )}
      {wish && <ResetDialog wish={wish} labelled={labelled} onClose={() => setWish(undefined)} />}
      {isClaiming && <ClaimDialog onClose={() => setClaiming(false)} />}
    </>
  )
}

/** A run that ends has changed the counts. */
function useWhenItEnds(active: Run | undefined, act: () => void): void {
  const before = useRef(active)
  useEffect(() => {
    if (before.current !== undefined && active === undefined) act()
    before.current = active
  }, [active, act])
}
