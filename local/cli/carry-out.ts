import { StopExecutionCommand } from '@aws-sdk/client-sfn'
import { withConnection } from '../../lib/database/snapshot.ts'
import { finish } from '../../lib/run/finish.ts'
import { findRun } from '../../lib/run/ledger.ts'
import { getOptions } from '../../lib/run/options.ts'
import type { Answer } from './answer.ts'
import { askForName, needsName } from './confirm.ts'
import type { Connected } from './connect.ts'
import { exitCodeOf } from './exit-code.ts'
import { type Followed, followRun } from './follow-run.ts'
import { outcomeOf } from './outcome-of.ts'
import { progressOn } from './progress.ts'
import { confirmed, type Wanted } from './request.ts'
import { showReset } from './show-options.ts'
import { showOutcome, showPlan } from './show-outcome.ts'
import { executionArn, startRun } from './start-run.ts'

/** Commands "backup", "reset" and "claim": starts the run and waits for its end. */
export async function carryOut(
  connected: Connected,
  given: Wanted,
  { json }: { json: boolean },
): Promise<Answer> {
  const { clients } = connected
  const { request } = given
  const asks = needsName(request)
  if (request.operation === 'reset' && (asks || !json)) {
    process.stderr.write(showReset(await getOptions(clients, request.preserve), request))
  }
  const wanted = asks
    ? confirmed(given, await askForName(clients.config.ENVIRONMENT, request.operation))
    : given
  const runId = await startRun(connected, wanted)
  process.stderr.write(`Run ${runId}\n`)
  const interruption = new AbortController()
  const forget = onInterruption(() => interruption.abort())
  try {
    const view = progressOn(process.stderr)
    return answerOf(wanted, await followRun(connected, runId, view, interruption.signal))
  } catch (error) {
    if (interruption.signal.aborted) return await leave(connected, runId)
    throw error
  } finally {
    forget()
  }
}

function answerOf({ request }: Wanted, { outcome, row, repeats }: Followed): Answer {
  const isDry = request.operation !== 'claim' && request.dryRun
  const plan = row?.plan ?? null
  return {
    document: isDry ? { ...outcome, dryRun: true, plan } : outcome,
    text: showOutcome(outcome, repeats) + (isDry && plan !== null ? showPlan(plan) : ''),
    code: outcome.error === null ? 0 : exitCodeOf(outcome.error.name),
  }
}

/** A run outlives the CLI, unless it runs in this very process: then it is stopped, and says how far it got. */
async function leave({ clients, sfn, machineArn, stack }: Connected, runId: string): Promise<Answer> {
  if (stack?.machine === undefined) {
    const message = `The run ${runId} goes on. Look at it with: npm run cli -- runs ${runId}`
    return { document: { error: { name: 'Interrupted', message } }, text: `${message}\n`, code: 130 }
  }
  process.stderr.write('\nStopping the run …\n')
  await sfn.send(new StopExecutionCommand({ executionArn: executionArn(machineArn, runId) }))
  await stack.machine.stop() // what a function at work still does must be done before it is written down
  await finish(clients, { runId, error: { Error: 'Interrupted', Cause: 'The run was stopped by Ctrl-C' } })
  const row = await withConnection(clients, (connection) => findRun(connection, runId))
  const message = `The run ${runId} was stopped before it began`
  if (row === undefined) {
    return { document: { error: { name: 'Interrupted', message } }, text: `${message}\n`, code: 130 }
  }
  const outcome = outcomeOf(row)
  return { document: outcome, text: showOutcome(outcome), code: 130 }
}

/** @returns what ends listening for Ctrl-C */
function onInterruption(react: () => void): () => void {
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
