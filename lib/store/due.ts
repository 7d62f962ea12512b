import type { RunRow } from '../ledger/runs.ts'
import { operationOf } from '../operations.ts'

/** Whether the store should have been changed so by now: the machine came to the end of a run that was to do it. */
export function isDue(
  change: 'wiped' | 'replaced',
  { row, clears, dryRun, succeeded }: { row: RunRow; clears: boolean; dryRun: boolean; succeeded: boolean },
): boolean {
  return succeeded && clears && !dryRun && operationOf(row.operation)?.changes === change
}
