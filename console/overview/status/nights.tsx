import { statusWords } from '../../../lib/ledger/status.ts'
import type { Status } from '../../../lib/run/status/status.ts'
import { Mark } from '../../page/mark.tsx'
import { runAddress } from '../../route.ts'
import { standingOf } from '../../runs/standing.ts'
import { titleOf } from '../../runs/wording.ts'

/** A square for each of the last thirty days: how its run ended, and the way to it. */
export function Nights({ nights }: { nights: Status['nights'] }) {
  return (
    <ol class="nights" aria-label="The last thirty nights">
      {nights.map(({ day, runId, operation, status }) => {
        if (runId === null || operation === null || status === null)
          return (
            <li key={day} title={`${day}: no run`}>
              <span class="unseen">{day}: no run</span>
            </li>
          )
        const says = `${day}: ${titleOf({ operation, strategy: null, dryRun: false })}, ${statusWords[status] ?? status}`
        return (
          <li key={day}>
            <a href={runAddress(runId)} title={says}>
              <Mark standing={standingOf(status)} />
              <span class="unseen">{says}</span>
            </a>
          </li>
        )
      })}
    </ol>
  )
}
