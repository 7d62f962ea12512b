import { operationOf, saidAs } from '../../operations.ts'
import { type Target, type TargetState, targets } from '../../store.ts'
import type { Outcome } from '../outcome.ts'
import { putBeside } from './now-and-after.ts'
import { stateWords } from './outcome.ts'

/** What a person can do after a run. `restore`: the backup that a restore would put back for it; null: no command of ours. */
type NextStep = { says: string; restore: string | null }

const changedStates: ReadonlySet<TargetState> = new Set([
  'wiped',
  'partly_wiped',
  'restored',
  'partly_restored',
  'unknown',
])

/** The targets that the run changed, or may have changed. */
export function changedBy({ targets: states }: Pick<Outcome, 'targets'>): Target[] {
  return targets.filter((target) => changedStates.has(states[target].state))
}

/**
 * How to put back what a reset wiped or a restore replaced, and what remains to be done after a failure: from what is known
 * of each target, not from what was asked for.
 */
export function nextStepsOf(outcome: Outcome): NextStep[] {
  // Of a run that was called off there is no cause to remove, and that nothing was changed is what it says itself.
  if (outcome.dryRun || outcome.error?.name === 'Cancelled') return []
  const { operation } = outcome
  const known = operationOf(operation)
  if (known?.actsOn !== 'stores') return []
  if (known.changes === null || changedBy(outcome).length === 0)
    return outcome.error === null ? [] : [nothingChanged(operation)]
  return known.changes === 'wiped' ? afterReset(outcome) : afterRestore(outcome)
}

function nothingChanged(operation: string): NextStep {
  return {
    says: `Nothing was wiped or replaced. Remove the cause, and start the ${saidAs(operation)} again.`,
    restore: null,
  }
}

function afterReset({ backupId, error, ...outcome }: Outcome): NextStep[] {
  const putBack: NextStep =
    backupId === null
      ? { says: 'No backup was taken: what was wiped cannot come back.', restore: null }
      : { says: 'To put back what was wiped:', restore: backupId }
  if (error === null) return [putBack]
  const says = `The reset is not finished: ${statesOf(outcome)}. Remove the cause, and start it again; what it wiped already stays wiped until then.`
  return [{ says, restore: null }, putBack]
}

function afterRestore({ operation, backupId, error, ...outcome }: Outcome): NextStep[] {
  const run = saidAs(operation)
  const isBeside = putBeside(changedBy(outcome)) !== ''
  const others = isBeside ? `, but for ${putBeside(targets)} that only this ${run} brought` : ''
  const goBack: NextStep =
    backupId === null
      ? { says: 'No safety backup was taken: what was replaced cannot come back.', restore: null }
      : { says: `To go back to what was there before the ${run}${others}:`, restore: backupId }
  if (error === null) return [goBack]
  const says = `The ${run} is not finished: ${statesOf(outcome)}. Remove the cause, and start the same ${run} again: twice is the same as once.`
  return [{ says, restore: null }, goBack]
}

function statesOf({ targets: states }: Pick<Outcome, 'targets'>): string {
  return targets.map((target) => `${target} ${stateWords[states[target].state]}`).join(', ')
}
