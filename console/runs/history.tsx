import { useState } from 'preact/hooks'
import { utc } from '../../lib/amounts.ts'
import type { Run } from '../../lib/http/answers/run.ts'
import { duration } from '../numbers.ts'
import { attempt } from '../page/attempt.ts'
import { Failure, Loading } from '../page/notice.tsx'
import { useSession } from '../page/session.ts'
import { backupAddress, runAddress } from '../route.ts'
import { useRuns } from './active-run.tsx'
import { Status } from './status.tsx'
import { aboutBackup, askedBy, titleOf } from './wording.ts'

/** All runs, newest first, with who started them. */
export function History() {
  const { api } = useSession()
  const { data, refused } = useRuns()
  const [older, setOlder] = useState<{ runs: Run[]; next: string | null }>()
  const [error, setError] = useState<Error>()
  const runs = [...(data?.runs ?? []), ...(older?.runs ?? [])]
  const shown = [...new Map(runs.map((run) => [run.runId, run])).values()]
  const next = older ? older.next : data?.next

  const more = (before: string) =>
    attempt(setError, async () => {
      const page = await api.runs(before)
      setOlder({ runs: [...(older?.runs ?? []), ...page.runs], next: page.next })
    })

  return (
    <>
      <h1>History</h1>
      {refused && <Failure error={refused} />}
      {!data && !refused && <Loading what="the runs" />}
      {data && shown.length === 0 && <p class="empty">No run yet. The first one appears here.</p>}
      {shown.length > 0 && <Runs runs={shown} />}
      {error && <Failure error={error} />}
      {next && (
        <button type="button" onClick={() => void more(next)}>
          Show older runs
        </button>
      )}
    </>
  )
}

function Runs({ runs }: { runs: Run[] }) {
  return (
    <div class="panel">
      <table>
        <caption class="unseen">Runs, the newest first</caption>
        <thead>
          <tr>
            <th scope="col">Run</th>
            <th scope="col">Result</th>
            <th scope="col" class="wide">
              Started by
            </th>
            <th scope="col" class="number wide">
              Took
            </th>
          </tr>
        </thead>
        <tbody>
          {runs.map((run) => (
            <tr key={run.runId}>
              <th scope="row">
                <a href={runAddress(run.runId)}>{titleOf(run)}</a>
                <span class="sub">
                  <time dateTime={run.startedAt}>{utc(run.startedAt)}</time>
                  <span class="narrow"> · {askedBy(run.requestedBy)}</span>
                  <About run={run} />
                </span>
              </th>
              <td>
                <Status run={run} />
              </td>
              <td class="wide told">{askedBy(run.requestedBy)}</td>
              <td class="number wide">
                {run.finishedAt ? duration(Date.parse(run.finishedAt) - Date.parse(run.startedAt)) : '–'}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

/** Verifications, deletions and restores are about a backup: which one. */
function About({ run }: { run: Run }) {
  const about = aboutBackup(run)
  return (
    about && (
      <>
        {' '}
        · {about.says} <a href={backupAddress(about.backupId)}>{about.backupId}</a>
      </>
    )
  )
}
