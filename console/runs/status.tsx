import type { Run } from '../../lib/http/run.ts'
import { statusWords } from './wording.ts'

const kinds: Record<Run['status'], string> = {
  starting: 'active',
  running: 'active',
  succeeded: 'good',
  succeeded_with_warnings: 'attention',
  failed: 'attention',
  abandoned: 'attention',
  cancelled: 'plain',
}

export function Status({ status }: Pick<Run, 'status'>) {
  return <span class={`badge ${kinds[status]}`}>{statusWords[status]}</span>
}
