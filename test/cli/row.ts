import type { RunRow } from '../../lib/ledger/runs.ts'

/** The second of a minute in which all of it happens. */
export const at = (second: number) => new Date(Date.UTC(2026, 10, 22, 19, 5, second))
/** A run that is under way. */
export const row: RunRow = {
  ...{ runId: 'r', operation: 'reset', strategy: 'full', requestedBy: null, idempotencyKey: null },
  ...{ requestDigest: '', status: 'running', phase: 'Seal', attempt: 0, backupId: 'b', plan: null },
  ...{ progress: {}, wiped: null, restored: null, failure: null, outcome: null, fence: 1, waiting: null },
  ...{
    locked: null,
    planDigest: null,
    late: null,
    latestInvocation: null,
    targetBackupId: null,
    steps: null,
    closingUntil: null,
  },
  ...{ startedAt: at(0), heartbeatAt: at(20), finishedAt: null },
}
