import type { Run } from '../../lib/http/run.ts'
import { scopeOf, strategies, type Target, targets } from '../../lib/run/strategy.ts'

export type StepState = 'waiting' | 'running' | 'done' | 'stopped'
export type Step = {
  /** As the state machine and the ledger call it. */
  name: string
  state: StepState
  /** Shards, files or keys; null when the step does not tell. */
  progress: { done: number; total: number } | null
}
/** Steps that belong together; `together`: they run at the same time. */
export type Stage = { name: string; together: boolean; destructive: boolean; steps: Step[] }

type Drawn = Pick<Run, 'operation' | 'strategy' | 'status' | 'phase' | 'progress' | 'dryRun'> & {
  plan:
    | (Omit<NonNullable<Run['plan']>, Target> &
        Record<'files' | 'cache', unknown> & { database: { batches: number } | null })
    | null
}
type Outline = { name: string; together?: boolean; destructive?: boolean; steps: string[] }

const backingUp: Record<Target, string> = {
  database: 'Export database',
  files: 'Copy files',
  cache: 'Export cache',
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
  { status, progress }: Drawn,
  step: string,
  { before, here }: { before: boolean; here: boolean },
): Pick<Step, 'state' | 'progress'> {
  if (before || status === 'succeeded' || status === 'succeeded_with_warnings')
    return { state: 'done', progress: null }
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

/** Before Count has planned, what the request alone says is drawn. */
function outlineOf({ operation, strategy, dryRun, plan }: Drawn): Outline[] {
  const scope = strategies.find((name) => name === strategy)
  const wanted = scope === undefined ? [...targets] : scopeOf(scope).clears
  const acted = plan === null ? wanted : targets.filter((target) => plan[target] !== null)
  const { wipes, backsUp, rehearse } = plan ?? { wipes: wanted, backsUp: wanted, rehearse: false }
  const count = { name: 'Plan', steps: ['Count'] }
  const end = { name: 'End', steps: ['Finish'] }
  if (dryRun || operation === 'claim') return [count, end]
  if (operation === 'verify') {
    return [
      count,
      { name: 'Check', steps: ['Verify'] },
      { name: 'Load', steps: rehearse ? loading : [] },
      end,
    ]
  }
  if (operation === 'delete') return [count, { name: 'Remove', destructive: true, steps: ['Delete'] }, end]
  const isRehearsed = rehearse && backsUp.includes('database')
  const isReconciled = (plan?.database?.batches ?? 0) > 1 && backsUp.includes('database')
  const backup: Outline[] = [
    { name: 'Back up', together: true, steps: backsUp.map((target) => backingUp[target]) },
    {
      name: 'Prove',
      steps:
        backsUp.length === 0
          ? []
          : [...(isReconciled ? ['Reconcile'] : []), ...(isRehearsed ? ['Rehearse', 'Compare'] : []), 'Seal'],
    },
  ]
  if (operation === 'backup') return [count, ...backup, end]
  if (operation === 'restore') {
    return [
      count,
      ...backup,
      { name: 'Load', steps: acted.includes('database') ? loading : [] },
      { name: 'Restore', destructive: true, steps: acted.map((target) => `Restore ${target}`) },
      end,
    ]
  }
  return [
    count,
    ...backup,
    { name: 'Wipe', destructive: true, steps: wipes.map((target) => `Wipe ${target}`) },
    end,
  ]
}

const loading = ['Load backup', 'Compare backup']
