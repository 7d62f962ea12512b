import * as z from 'zod'
import { RunRef } from '../lib/ledger/run-ref.ts'
import { callHooks } from '../lib/run/hooks/hooks.ts'
import { task } from '../lib/task.ts'

const HooksInput = RunRef.extend({ moment: z.enum(['before', 'after']) })

/** States "Hooks before" and "Hooks after": call what HOOKS names, so that an application goes into maintenance, and out of it. */
export const handler = task(
  HooksInput,
  { phase: ({ moment }) => `Hooks ${moment}`, run: (input) => input },
  async (clients, { runId, moment }, _report, fence) => {
    await callHooks(clients, { runId, moment, fence })
    return {}
  },
)
