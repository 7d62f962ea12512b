import { FinishInput, finish } from '../lib/run/finish.ts'
import { task } from '../lib/task.ts'

/** States "Finish" and "Finish failed": write the honest outcome into the ledger and end the run. */
export const handler = task(FinishInput, { phase: () => 'Finish', run: () => null }, finish)
