import type { Run } from '../../lib/http/answers/run.ts'
import { scopeOf, strategies } from '../../lib/run/strategy.ts'
import { type Target, targets } from '../../lib/store.ts'
import { words } from '../../lib/stores/words.ts'
import { type Outline, pageOf } from './operations.ts'

/** `idle`: there was nothing for it to do, so nothing was done. `closed`: it ended the run as one that failed. */
export type StepState = 'waiting' | 'running' | 'done' | 'stopped' | 'idle' | 'closed'
export type DrawnStep = {
  /** As the state machine and the ledger call it. */
  name: string
  state: StepState
  /** Shards, files or keys; null when the step does not tell. */
  progress: { done: number; total: number } | null
}
/** Steps that belong together; `together`: they run at the same time. */
export type Stage = { name: string; together: boolean; destructive: boolean; steps: DrawnStep[] }

type Drawn = Pick<Run, 'operation' | 'strategy' | 'status' | 'phase' | 'progress' | 'dryRun'> & {
  plan:
    | (Omit<NonNullable<Run['plan']>, Target> &
        Record<Target, object | null> & { database: { batches: number } | null })
    | null
  /** Those that have begun; absent: nobody knows. */
  steps?: Record<string, unknown> | null
  /** What a restore put back, once it is over. */
  outcome?: Pick<NonNullable<Run['outcome']>, 'targets'> | null
}

/** The run's way through the state machine, and how far it is. */
export function stagesOf(run: Drawn): Stage[] {
  const outline = outlineOf(run).filter(({ steps }) => steps.length > 0)
  const at = outline.findIndex(({ steps }) => steps.includes(run.phase ?? ''))
  return outline.map(({ name, together = false, destructive = false, steps }, stage) => {
    const stepAt = steps.indexOf(run.phase ?? '')
    return {
      name,
      together,
      destructive,
      steps: steps.map((step, index) => {
        const before = stage < at || (stage === at && !together && index < stepAt)
        const here = stage === at && (together || index === stepAt)
        return { name: step, ...progressOf(run, step, { before, here }) }
      }),
    }
  })
}

function progressOf(
  run: Drawn,
  step: string,
  { before, here }: { before: boolean; here: boolean },
): Pick<DrawnStep, 'state' | 'progress'> {
  const { status, progress } = run
  if (step === 'Finish' && status === 'failed') return { state: 'closed', progress: null }
  const isOver = before || status === 'succeeded' || status === 'succeeded_with_warnings'
  if (isOver) return { state: hasNothingToDo(run, step) ? 'idle' : 'done', progress: null }
  if (!here) return { state: 'waiting', progress: null }
  const told = progress[step]
  const isActive = status === 'running' || status === 'starting'
  const isComplete = told !== undefined && told.total > 0 && told.done >= told.total
  if (isComplete && !isActive) return { state: 'done', progress: null }
  return {
    state: isActive ? 'running' : 'stopped',
    progress: told !== undefined && told.total > 0 ? told : null,
  }
}

/** A Map over no batches is passed by: nothing was copied where there was nothing. */
function hasNothingToDo({ plan, outcome }: Drawn, step: string): boolean {
  if (plan === null) return false
  if (step === 'Rehearse') return plan.database?.batches === 0
  return targets.some((target) => isEmpty(target, step, { plan, outcome }))
}

function isEmpty<T extends Target>(
  target: T,
  step: string,
  { plan, outcome }: { plan: NonNullable<Drawn['plan']>; outcome: Drawn['outcome'] },
): boolean {
  const { backedUpIn, isChangedInBatches = false, count } = words[target]
  if (step === backedUpIn || (isChangedInBatches && step === `Wipe ${target}`)) {
    const section: object | null = plan[target]
    return section !== null && 'batches' in section && section.batches === 0
  }
  if (!isChangedInBatches || step !== `Restore ${target}` || !outcome) return false
  const restored = outcome.targets[target]
  return restored.state === 'restored' && count(restored) === 0
}

/** Before Count has planned, what the request alone says is drawn. */
function outlineOf({ operation, strategy, dryRun, plan, phase, progress, steps }: Drawn): Outline[] {
  const scope = strategies.find((name) => name === strategy)
  const wanted: readonly Target[] = scope === undefined ? targets : scopeOf(scope).clears
  const acted = plan === null ? wanted : targets.filter((target) => plan[target] !== null)
  const { wipes, backsUp, rehearse } = plan ?? { wipes: wanted, backsUp: wanted, rehearse: false }
  const isRehearsed = rehearse && backsUp.includes('database')
  const isReconciled = (plan?.database?.batches ?? 0) > 1
  const backup: Outline[] = [
    { name: 'Back up', together: true, steps: backsUp.map((target) => words[target].backedUpIn) },
    {
      name: 'Prove',
      steps:
        backsUp.length === 0
          ? []
          : [...(isReconciled ? ['Reconcile'] : []), ...(isRehearsed ? ['Rehearse', 'Compare'] : []), 'Seal'],
    },
  ]
  const parts = { backup, acted, wipes, rehearse }
  const begun = new Set([phase, ...Object.keys(progress), ...Object.keys(steps ?? {})])
  // The dry run of a restore looks at what that would change, where the backup can be compared.
  const isCompared = [...begun].some((name) => name?.startsWith('Diff '))
  /** Only who runs the machine knows whether it has any. */
  const hooks = (name: string) => (begun.has(name) ? [name] : [])
  return [
    { name: 'Plan', steps: ['Count', ...hooks('Hooks before')] },
    ...(!dryRun ? pageOf(operation).stages(parts) : isCompared ? pageOf('diff').stages(parts) : []),
    { name: 'End', steps: [...hooks('Hooks after'), 'Finish'] },
  ]
}
