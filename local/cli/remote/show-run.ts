import { utc } from '../../../lib/amounts.ts'
import type { Run } from '../../../lib/http/answers/run.ts'
import { statusWords } from '../../../lib/ledger/status.ts'
import { saidAs } from '../../../lib/operations.ts'
import { refusalOf } from '../../../lib/run/words/would-do.ts'
import type { Answer } from '../answer.ts'
import { exitCodeOf } from '../exit-code.ts'
import { showOutcome } from '../show/outcome.ts'
import { stepTimes } from '../show/run.ts'

/** A run in the list. */
export function runLineOf(run: Run): string[] {
  const { startedAt, runId, operation, strategy, backupId, restoredBackupId, to } = run
  const about =
    restoredBackupId === null ? (backupId ?? '') : `${to === null ? 'from' : `to ${to},`} ${restoredBackupId}`
  return [utc(startedAt), runId, saidAs(operation), strategy ?? '', statusOf(run), about]
}

function statusOf({ dryRun, status, wouldDo, error }: Run): string {
  const words = statusWords[status] ?? status
  if (!dryRun) return words
  if (wouldDo?.refusal) return `dry run: would be refused (${wouldDo.refusal.name})`
  return error === null && status.startsWith('succeeded')
    ? 'dry run: would not be refused'
    : `dry run, ${words}`
}

/** A run as its outcome, or as far as it is; one that was looked for and not followed with how long each step took. */
export function runAnswer(
  run: Run,
  { environment, access }: { environment: string; access: readonly string[] },
  ended = false,
): Answer {
  const { outcome, error, wouldDo, runId, operation, status, phase, steps } = run
  if (outcome === null) {
    const why = error === null ? '' : `\n${error.name}: ${error.message}\n`
    const where = phase === null ? '' : `, in "${phase}"`
    const code = ended ? exitCodeOf(error?.name ?? '') : 0
    return {
      document: run,
      text: `Run ${runId} (${saidAs(operation)}): ${statusWords[status] ?? status}${where}.\n${why}${ended ? '' : stepTimes(steps, run.finishedAt === null)}`,
      code,
    }
  }
  const refused = refusalOf(outcome.refusal, outcome.error) ?? outcome.error
  const document = wouldDo === null ? outcome : { ...outcome, dryRun: true, plan: run.plan, wouldDo }
  const text = showOutcome(outcome, { plan: null, wouldDo, environment, access, status })
  return {
    document: ended ? document : { ...document, steps },
    text: ended ? text : text + stepTimes(steps),
    code: ended && refused !== null ? exitCodeOf(refused.name) : 0,
  }
}
