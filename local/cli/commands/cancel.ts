import { cancelRun } from '../../../lib/run/cancel.ts'
import type { Answer } from '../answer.ts'
import { WrongUsage } from '../arguments.ts'
import type { Connected } from '../connect.ts'
import { requester } from '../request.ts'
import { runDocument } from '../show/run.ts'

/** Command "cancel": calls a run off before it has changed anything. */
export async function cancel({ clients }: Connected, runId: string | undefined): Promise<Answer> {
  if (runId === undefined) throw new WrongUsage('cancel needs the id of a run; "runs" lists them', 'cancel')
  const row = await cancelRun(clients, { runId, by: requester() })
  const text = `Run ${runId} is cancelled in "${row.phase}". Nothing was wiped, restored or deleted.\n`
  return { document: runDocument(row), text, code: 0 }
}
