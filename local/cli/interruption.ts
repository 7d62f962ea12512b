import { withConnection } from '../../lib/database/snapshot.ts'
import { stopExecution } from '../../lib/executions.ts'
import { findRun } from '../../lib/run/ledger.ts'
import type { Answer } from './answer.ts'
import type { Connected } from './connect.ts'
import { outcomeOf } from './outcome-of.ts'
import { showOutcome } from './show-outcome.ts'

/** A run outlives the CLI, unless it runs in this very process: then it is stopped, and says how far it got. */
export async function leaveRun({ clients, stack }: Connected, runId: string): Promise<Answer> {
  if (stack?.machine === undefined) {
    const message = `The run ${runId} goes on. Look at it with: npm run -s cli -- runs ${runId}`
    return { document: { error: { name: 'Interrupted', message } }, text: `${message}\n`, code: 130 }
  }
  process.stderr.write('\nStopping the run …\n')
  const error = { Error: 'Interrupted', Cause: 'The run was stopped by Ctrl-C' }
  await stopExecution(clients, runId, { error: error.Error, cause: error.Cause })
  await stack.machine.stop() // what a function at work still does must be done before it is written down
  const { finish } = await import('../../lib/run/finish.ts')
  await finish(clients, { runId, error })
  const row = await withConnection(clients, (connection) => findRun(connection, runId))
  const message = `The run ${runId} was stopped before it began`
  if (row === undefined) {
    return { document: { error: { name: 'Interrupted', message } }, text: `${message}\n`, code: 130 }
  }
  const outcome = outcomeOf(row)
  return { document: outcome, text: showOutcome(outcome), code: 130 }
}

/** @returns what ends listening for Ctrl-C */
export function onInterruption(react: () => void): () => void {
  // npm passes Ctrl-C on, so that it comes twice: only what comes later is a second, impatient one.
  let first: number | undefined
  const onSignal = () => {
    first ??= Date.now()
    if (Date.now() - first > 1000) process.exit(130)
    react()
  }
  process.on('SIGINT', onSignal)
  return () => process.off('SIGINT', onSignal)
}
