import type { Run } from '../../lib/http/answers/run.ts'
import { factsOf, tallyOf } from './step-facts.ts'
import type { DrawnStep, Stage, StepState } from './steps.ts'

const words: Record<StepState, string> = {
  waiting: 'not begun',
  running: 'at work',
  done: 'done',
  stopped: 'stopped here',
  idle: 'nothing to do',
  closed: 'ended the run as failed',
}

/** What the mark alone does not tell. */
const spoken = new Set<StepState>(['idle', 'closed'])

/** The way of a run through the state machine: stages from left to right, on a phone from top to bottom. */
export function StepGraph({ stages, run }: { stages: readonly Stage[]; run: Pick<Run, 'steps' | 'plan'> }) {
  const now = new Date()
  return (
    <ol class="graph" aria-label="Steps of the run">
      {stages.map((stage) => (
        <li key={stage.name} class={`stage ${stateOf(stage)}${stage.destructive ? ' destructive' : ''}`}>
          <h2>{stage.name}</h2>
          {stage.together && stage.steps.length > 1 && <p class="muted">at the same time</p>}
          <ol>
            {stage.steps.map((step) => (
              <StepLine key={step.name} step={step} facts={factsOf(run, step, now)} />
            ))}
          </ol>
        </li>
      ))}
    </ol>
  )
}

function stateOf({ steps }: Stage): StepState {
  const states = new Set(steps.map(({ state }) => (state === 'idle' ? 'done' : state)))
  if (states.has('stopped') || states.has('closed')) return 'stopped'
  if (states.has('running') || states.size > 1) return 'running'
  return states.has('done') ? 'done' : 'waiting'
}

function StepLine({ step, facts }: { step: DrawnStep; facts: string | null }) {
  const { name, state, progress } = step
  return (
    <li
      class={`step ${state === 'closed' ? 'stopped' : state}`}
      aria-current={state === 'running' ? 'step' : undefined}
    >
      <Mark state={state} />
      <span class="name">
        {name} <span class={spoken.has(state) ? 'muted' : 'unseen'}>({words[state]})</span>
      </span>
      {facts && <span class="muted tally">{facts}</span>}
      {state === 'running' && progress && (
        <>
          <progress aria-label={name} value={progress.done} max={progress.total} />
          <span class="muted tally">{tallyOf(name, progress)}</span>
        </>
      )}
    </li>
  )
}

function Mark({ state }: { state: StepState }) {
  return (
    <svg viewBox="0 0 16 16" aria-hidden="true">
      <circle cx="8" cy="8" r="7" />
      {state === 'done' && <path d="M4.6 8.3 7 10.7l4.4-5" />}
      {(state === 'stopped' || state === 'closed') && <path d="M5.5 5.5l5 5m0-5l-5 5" />}
      {state === 'idle' && <path d="M5 8h6" />}
      {state === 'running' && <circle class="core" cx="8" cy="8" r="3" />}
    </svg>
  )
}
