// Run by locks.trust.test.ts as a process of its own, which can be frozen as no function of this process can.
import { handler } from '../../functions/wipe.ts'

const runId = process.argv[2]
await handler(
  { runId, attempt: 0, target: 'database' },
  { functionName: 'wipe', awsRequestId: '', getRemainingTimeInMillis: () => 60_000 },
)
