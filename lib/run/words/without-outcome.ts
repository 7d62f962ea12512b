import * as z from 'zod'
import type { RunRow } from '../../ledger/runs.ts'

/** What a row says of a step that failed, or of who called the run off. */
const Noted = z.object({ error: z.string(), message: z.string() })

/**
 * Why a run that left no outcome is over. What a step noted counts when the run was ended with it; it does not when the
 * run goes on, or was taken over: then nobody knows how far it got.
 * @param lost what is said of it then
 */
export function errorWithoutOutcome(
  { status, failure }: Pick<RunRow, 'status' | 'failure'>,
  lost: string,
): { name: string; message: string } {
  if (status === 'running' || status === 'abandoned' || failure === null)
    return { name: 'RunLost', message: lost }
  const { error: name, message } = Noted.parse(failure)
  return { name, message }
}
