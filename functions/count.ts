import { CountInput, countAll } from '../lib/run/count.ts'
import { task } from '../lib/task.ts'

/** States "Count" and "Count again": guards, the run's lock, live counts, the plan and its work lists. */
export const handler = task(CountInput, { phase: () => 'Count', run: () => null }, countAll)
