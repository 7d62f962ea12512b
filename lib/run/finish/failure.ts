import * as z from 'zod'
import { messageOfCause } from '../../executions/cause.ts'
import type { RunRow } from '../../ledger/runs.ts'
import { lostRun } from '../../ledger/step.ts'

/** The error that a run ended with, as a Catch gave it: its name, and what it says. */
export function errorOf(
  caught: { Error: string; Cause?: string | undefined },
  row: RunRow | null,
): { name: string; message: string } {
  const cause = caught.Cause ?? ''
  if (caught.Error === 'States.ExceedToleratedFailureThreshold' && row !== null) {
    return errorOfBatch(row, { name: caught.Error, cause })
  }
  return { name: caught.Error, message: messageOfCause(cause) }
}

/** A Distributed Map says only that children failed; the ledger knows which error it was. */
function errorOfBatch(row: RunRow, { name, cause }: { name: string; cause: string }) {
  const noted = z.object({ error: z.string(), message: z.string() }).safeParse(row.failure)
  if (noted.success) return { name: noted.data.error, message: noted.data.message }
  if (row.status !== 'running') {
    const lost = lostRun(row.runId)
    return { name: lost.name, message: lost.message }
  }
  return {
    name,
    message: `A batch of the step "${row.phase}" ended without saying why: its function crashed, or ran out of time or memory (${cause}). Look at the failed children of the Map, then start again`,
  }
}
