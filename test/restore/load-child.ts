// Run by memory.trust.test.ts as a process of its own, like a Lambda: loads what a run exported, and tells its peak.
import { handler } from '../../functions/load.ts'
import { peakMiB } from '../support/peak-memory.ts'

const runId = process.argv[2]
await handler(
  { runId, attempt: 0, purpose: 'rehearse', batch: 0 },
  { functionName: 'load', awsRequestId: '', getRemainingTimeInMillis: () => 900_000 },
)
console.log(JSON.stringify({ peakMiB: peakMiB() }))
