import type { Run } from '../../lib/http/answers/run.ts'
import { statusOf } from './wording.ts'

const kinds: Record<Run['status'], string> = {
  starting: 'active',
  running: 'active',
  succeeded: 'good',
  succeeded_with_warnings: 'attention',
  failed: 'attention',
  abandoned: 'attention',
  cancelled: 'plain',
}

export function Status({ run }: { run: Pick<Run, 'status' | 'dryRun' | 'wouldDo'> }) {
  return <span class={`badge ${kindOf(run)}`}>{statusOf(run)}</span>
}

function kindOf({ status, dryRun, wouldDo }: Pick<Run, 'status' | 'dryRun' | 'wouldDo'>): string {
  if (!dryRun || kinds[status] !== 'good') return kinds[status]
  return wouldDo?.refusal ? 'attention' : 'plain'
}
