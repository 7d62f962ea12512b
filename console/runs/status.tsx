import type { Run } from '../../lib/http/answers/run.ts'
import { Mark } from '../page/mark.tsx'
import type { Standing } from '../page/standing.ts'
import { standingOf } from './standing.ts'
import { statusOf } from './wording.ts'

export function Status({ run }: { run: Pick<Run, 'status' | 'dryRun' | 'wouldDo'> }) {
  const standing = kindOf(run)
  return (
    <span class={`badge ${standing}`}>
      <Mark standing={standing} /> {statusOf(run)}
    </span>
  )
}

/** A dry run did nothing: it is no success. */
function kindOf({ status, dryRun, wouldDo }: Pick<Run, 'status' | 'dryRun' | 'wouldDo'>): Standing {
  const standing = standingOf(status)
  if (!dryRun || standing !== 'good') return standing
  return wouldDo?.refusal ? 'attention' : 'plain'
}
