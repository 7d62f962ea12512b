import { expect, test } from 'vitest'
import { PlanSummary } from '../../lib/run/planning/plan-summary.ts'

const plan = {
  ...{ clears: ['files', 'cache'], dryRun: false, warnings: [], files: null, cache: { keys: 1 } },
  restore: { backupId: 'b', files: { objects: 1, bytes: 1, batches: 1 } },
}

// Finish would look for no results of theirs, and tell of files that were put back that they were not.
test('a summary of a restore that says nothing of its files is not understood', () => {
  expect(PlanSummary.safeParse(plan).success).toBe(true)
  expect(PlanSummary.safeParse({ ...plan, restore: { backupId: 'b' } }).success).toBe(false)
})
