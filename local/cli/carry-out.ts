import { readBackup } from '../../lib/backup/read.ts'
import { getOptions } from '../../lib/run/options.ts'
import { visible } from '../../lib/visible.ts'
import type { Answer } from './answer.ts'
import { askForName, needsName } from './confirm.ts'
import type { Connected } from './connect.ts'
import { exitCodeOf } from './exit-code.ts'
import { type Followed, followRun } from './follow-run.ts'
import { leaveRun, onInterruption } from './interruption.ts'
import { progressOn } from './progress.ts'
import { confirmed, type Wanted } from './request.ts'
import { showDelete, showReset, showRestore } from './show-options.ts'
import { showOutcome, showPlan } from './show-outcome.ts'
import { startRun } from './start-run.ts'

/** Commands "backup", "reset", "restore", "verify", "delete" and "claim": starts the run and waits for its end. */
export async function carryOut(
  connected: Connected,
  given: Wanted,
  { json }: { json: boolean },
): Promise<Answer> {
  const { clients } = connected
  const { request } = given
  const asks = needsName(request)
  if (request.operation === 'reset' && (asks || !json)) {
    tell(showReset(await getOptions(clients, request.preserve), request))
  }
  if (request.operation === 'restore' && (asks || !json)) {
    const backup = await readBackup(clients.backups, clients.config.BACKUP_PREFIX, request.backupId)
    tell(showRestore(await getOptions(clients), backup, request))
  }
  if (request.operation === 'delete' && (asks || !json)) {
    const backup = await readBackup(clients.backups, clients.config.BACKUP_PREFIX, request.backupId)
    tell(showDelete(backup))
  }
  const wanted = asks ? confirmed(given, await askForName(clients.config.ENVIRONMENT, request)) : given
  const runId = await startRun(connected.clients, wanted)
  process.stderr.write(`Run ${runId}\n`)
  const interruption = new AbortController()
  const forget = onInterruption(() => interruption.abort())
  try {
    const view = progressOn(process.stderr)
    return answerOf(wanted, await followRun(connected.clients, runId, view, interruption.signal))
  } catch (error) {
    if (interruption.signal.aborted) return await leaveRun(connected, runId)
    throw error
  } finally {
    forget()
  }
}

function tell(text: string): void {
  process.stderr.write(visible(text))
}

function answerOf({ request }: Wanted, { outcome, row, repeats }: Followed): Answer {
  const isDry = 'dryRun' in request && request.dryRun
  const plan = row?.plan ?? null
  return {
    document: isDry ? { ...outcome, dryRun: true, plan } : outcome,
    text:
      showOutcome(outcome, repeats) +
      (isDry && plan !== null && request.operation === 'reset' ? showPlan(plan) : ''),
    code: outcome.error === null ? 0 : exitCodeOf(outcome.error.name),
  }
}
