import { utc } from '../../../lib/amounts.ts'
import { statusWords } from '../../../lib/ledger/status.ts'
import { isOneStep, operationOf, saidAs } from '../../../lib/operations.ts'
import type { Outcome } from '../../../lib/run/outcome.ts'
import { subjectSentence } from '../../../lib/run/subject-state.ts'
import { differenceHeadings, differenceLines } from '../../../lib/run/words/difference.ts'
import { nextStepsOf } from '../../../lib/run/words/next-steps.ts'
import { amountOf, stateWords } from '../../../lib/run/words/outcome.ts'
import { type WouldDo, wouldDoOf } from '../../../lib/run/words/would-do.ts'
import {
  wouldBackUp,
  wouldBeRefused,
  wouldCall,
  wouldLeave,
  wouldLines,
} from '../../../lib/run/words/would-words.ts'
import { targets } from '../../../lib/store.ts'
import { visibleName } from '../../../lib/visible.ts'
import { asFlags } from '../as-flags.ts'
import { commandLine } from '../program.ts'
import { seconds, table } from './table.ts'

/** What is known beside the outcome of how a run ended. */
type Around = {
  /** The plan that the ledger keeps; null: none was made. */
  plan: unknown
  /** What a dry run found, where the plan itself is not known. */
  wouldDo?: WouldDo | null
  /** The environment's name, for commands to paste. */
  environment: string
  /** Options that commands to paste need beside their own. */
  access?: readonly string[]
  /** The ledger's word for how the run stands, where it says more than the outcome. */
  status?: string | undefined
  /** Of an earlier run, which the same request gives again. */
  repeats?: string | undefined
  /** It ended before it got its row in the ledger: "runs" does not list it. */
  didNotBegin?: boolean
  /** The stores end with this process, and with them whatever could be put back. */
  isGone?: boolean
  /** The backup that the run took was deleted since, by hand or by the retention. */
  isDeleted?: boolean
}

/** The outcome as JSON; of a dry run with what it found. */
export function documentOf(outcome: Outcome, plan: unknown): object {
  const wouldDo = wouldDoOf(plan, outcome.operation, outcome.error ?? outcome.refusal ?? null)
  return wouldDo !== null || outcome.dryRun ? { ...outcome, dryRun: true, plan, wouldDo } : outcome
}

/** The end of a run in a few lines. */
export function showOutcome(outcome: Outcome, around: Around): string {
  const wouldDo =
    around.wouldDo ?? wouldDoOf(around.plan, outcome.operation, outcome.error ?? outcome.refusal ?? null)
  const repeated = around.repeats === undefined ? '' : 'The same request was sent before; this is its run.\n'
  if (wouldDo !== null || outcome.dryRun) return repeated + showDryRun(outcome, wouldDo, around)
  return [
    repeated,
    around.didNotBegin ? notBegun(outcome) : headingOf(outcome, around.status),
    outcome.error === null ? '' : `\n${outcome.error.name}: ${visibleName(asFlags(outcome.error.message))}\n`,
    outcome.subject === undefined ? '' : `\n${visibleName(subjectSentence(outcome.subject))}\n`,
    outcome.difference === undefined
      ? ''
      : showDifference(outcome.difference, { to: outcome.subject?.to, isDryRun: false }),
    around.didNotBegin || (operationOf(outcome.operation)?.actsOn ?? 'stores') !== 'stores'
      ? ''
      : `\n${table(targets.map((target) => [target, stateWords[outcome.targets[target].state], amountOf(outcome, target)]))}`,
    backupsOf(outcome, around),
    warningsOf(outcome),
    around.didNotBegin ? '' : showNextSteps(outcome, around),
  ].join('')
}

function showDifference(
  difference: NonNullable<Outcome['difference']>,
  {
    restores = null,
    to,
    isDryRun,
  }: { restores?: WouldDo['restores']; to?: string | undefined; isDryRun: boolean },
): string {
  const lines = differenceLines(difference, restores)
  const { nothing, before, now, restore } = differenceHeadings(to !== undefined, isDryRun)
  if (lines.length === 0) return `\n${nothing}\n`
  const heading = ['', before, now, restore].map((text) => text.toLowerCase())
  return `\n${table([heading, ...lines.map(({ what, before, now, restore }) => [what, before, now, restore])])}`
}

/** Which backup is which: a restore writes one, and puts another one back, or was to. */
function backupsOf(
  { operation, restoredBackupId, backupPrefix, error }: Outcome,
  { isDeleted = false }: Around,
): string {
  const restored = error === null ? 'Put back' : 'Was to be put back'
  const own = operationOf(operation)?.changes === 'replaced' ? 'Safety backup' : 'Backup'
  return [
    restoredBackupId === undefined ? '' : `\n${restored}: ${restoredBackupId}\n`,
    backupPrefix === null ? '' : `\n${own}: ${backupPrefix}${isDeleted ? ' (deleted since)' : ''}\n`,
  ].join('')
}

/** A claim has no row before it has written the name into the stores. */
function notBegun(outcome: Outcome): string {
  return isOneStep(outcome.operation)
    ? "Claim failed; some of the stores may carry the environment's name by now. It can be repeated.\n"
    : `${titleOf(outcome)} did not begin; nothing was touched.\n`
}

/** `reset full to baseline` */
function whatOf({ operation, strategy, to }: Outcome): string {
  return [saidAs(operation), strategy, to && `to ${to.name}`].filter(Boolean).join(' ')
}

function titleOf(outcome: Outcome): string {
  const title = whatOf(outcome)
  return `${title[0]?.toUpperCase()}${title.slice(1)}`
}

function headingOf(outcome: Outcome, status: string = outcome.status): string {
  const { runId, finishedAt } = outcome
  const words = statusWords[status] ?? status
  const what = whatOf(outcome)
  const comma = words.includes(',') ? ',' : ''
  return `Run ${runId} (${what}) ${words}${comma} after ${tookOf(outcome)}, at ${utc(finishedAt)}.\n`
}

function tookOf({ startedAt, finishedAt }: Pick<Outcome, 'startedAt' | 'finishedAt'>): string {
  return seconds(Date.parse(finishedAt) - Date.parse(startedAt))
}

function warningsOf({ warnings }: Outcome): string {
  return warnings.map(({ code, message }) => `\nWarning ${code}: ${visibleName(asFlags(message))}\n`).join('')
}

/** The refusal comes first: then nothing of the rest would happen. */
function showDryRun(outcome: Outcome, wouldDo: WouldDo | null, { didNotBegin }: Around): string {
  const { runId, operation, error } = outcome
  const refusal = wouldBeRefused({ refusal: wouldDo?.refusal ?? outcome.refusal ?? null })
  const run = didNotBegin ? 'This dry run' : `The dry run ${runId}`
  const what = whatOf(outcome)
  return [
    refusal === null ? '' : `${what} ${visibleName(asFlags(refusal))}\n\n`,
    refusal === null && error !== null
      ? `${run} (${what}) failed, so whether the ${saidAs(operation)} would be refused is not known. ${error.name}: ${visibleName(asFlags(error.message))}\n`
      : `${run} (${what}) took ${tookOf(outcome)}; nothing was wiped, replaced or backed up.\n`,
    wouldDo === null ? '' : showWouldDo(wouldDo, operation),
    outcome.difference === undefined
      ? ''
      : showDifference(outcome.difference, { restores: wouldDo?.restores ?? null, isDryRun: true }),
    warningsOf(outcome),
  ].join('')
}

function showWouldDo(wouldDo: WouldDo, operation: string): string {
  const lines = wouldLines(wouldDo, operation).map(({ what, holds, would }) => [what, holds, would])
  if (lines.length === 0) return ''
  const condition = wouldDo.refusal === null ? 'would do this' : 'would do this if it were not refused'
  const left = wouldLeave(wouldDo)
  const calls = wouldCall(wouldDo, operation)
  return [
    `\nWith this request, the ${saidAs(operation)} ${condition}:\n\n${table(lines)}`,
    left.length === 0 ? '' : `\nIt would not touch: ${left.join(', ')}.\n`,
    `\n${wouldBackUp(wouldDo, operation)}\n`,
    calls === null ? '' : `\n${calls}\n`,
  ].join('')
}

function showNextSteps(
  outcome: Outcome,
  { environment, access = [], isGone = false, isDeleted = false }: Around,
): string {
  const steps = nextStepsOf(outcome).map(({ says, restore }) =>
    restore === null
      ? `\n${says}\n`
      : isGone
        ? ''
        : isDeleted
          ? `\nThe backup ${restore} was deleted since: it cannot put anything back any more.\n`
          : `\n${says}\n\n  ${commandLine('restore', restore, '--confirm', environment, ...access)}\n`,
  )
  return steps.join('')
}
