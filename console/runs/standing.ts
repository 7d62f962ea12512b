import type { Run } from '../../lib/http/answers/run.ts'
import type { Standing } from '../page/standing.ts'

const standings: Record<Run['status'], Standing> = {
  starting: 'active',
  running: 'active',
  succeeded: 'good',
  succeeded_with_warnings: 'attention',
  failed: 'failed',
  abandoned: 'failed',
  cancelled: 'plain',
}

/** How a run stands; of a status of another version nobody knows. */
export function standingOf(status: string): Standing {
  return Object.hasOwn(standings, status) ? standings[status as Run['status']] : 'plain'
}
