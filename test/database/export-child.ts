// Run by memory.trust.test.ts as a process of its own, like a Lambda: exports the batches of a planned run, and tells its peak.
import { handler } from '../../functions/export.ts'
import { peakMiB } from '../support/peak-memory.ts'

const [runId, batches] = process.argv.slice(2)
const started = performance.now()
for (let batch = 0; batch < Number(batches); batch++) {
  await handler(
    { runId, attempt: 0, target: 'database', batch },
    { functionName: 'export', awsRequestId: '', getRemainingTimeInMillis: () => 900_000 },
  )
}
console.log(JSON.stringify({ peakMiB: peakMiB(), seconds: (performance.now() - started) / 1000 }))
