import * as z from 'zod'
import { copyFiles } from '../lib/files/copy/copy.ts'
import { RunRef } from '../lib/ledger/run-ref.ts'
import { filesOf, readPlan, sealedAs } from '../lib/run/planning/plan.ts'
import { task } from '../lib/task.ts'

const CopyInput = RunRef.extend({ batch: z.number().int().nonnegative() })

/** State "Copy files": copies one batch of files into the backup. */
export const handler = task(
  CopyInput,
  { phase: () => 'Copy files', run: (input) => input },
  async (clients, { batch, ...run }, report, fence) => {
    const plan = await readPlan(clients.backups, run, await fence.noted())
    await copyFiles(clients, { backupId: sealedAs(plan), batch, ...filesOf(plan) }, report, fence)
    return {}
  },
)
