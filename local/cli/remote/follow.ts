import { setTimeout as sleep } from 'node:timers/promises'
import { StoreUnavailable } from '../../../lib/errors.ts'
import { Run } from '../../../lib/http/answers/run.ts'
import { visibleName } from '../../../lib/visible.ts'
import type { StepProgress } from '../run/steps.ts'
import type { ProgressView } from '../show/progress.ts'
import { type Api, Refused } from './client.ts'

/** Milliseconds between two looks, of which the first come sooner; and how often in a row the API may not answer. */
const pauseMs = { first: 200, most: 1000 }
const patience = 30

/** Waits for the end of a run. @throws StoreUnavailable when the API cannot be asked for long */
export async function followOver(
  { ask }: Api,
  runId: string,
  view: ProgressView,
  signal?: AbortSignal,
): Promise<Run> {
  const seen: Steps = {}
  let pause = pauseMs.first
  for (let failures = 0; ; pause = Math.min(pause * 1.5, pauseMs.most)) {
    try {
      const run = await ask('GET', `/v1/runs/${encodeURIComponent(runId)}`, Run)
      failures = 0
      noteIn(seen, run)
      view.show(stepsIn(run, seen), run.status === 'starting' ? undefined : visibleName(run.runId))
      if (run.status !== 'starting' && run.status !== 'running') {
        view.end()
        return run
      }
    } catch (error) {
      const mayPass =
        error instanceof StoreUnavailable || (error instanceof Refused && error.kind === 'failure')
      if (!mayPass || ++failures > patience) throw error
    }
    await sleep(pause, undefined, signal && { signal })
  }
}

type Steps = NonNullable<Run['steps']>

/** Which state it was in at each look, for a run whose ledger does not tell when each began. */
function noteIn(seen: Steps, { phase, heartbeatAt, status }: Run): void {
  for (const [name, step] of Object.entries(seen)) if (name !== phase) step.to ??= heartbeatAt
  if (phase === null) return
  const step = seen[phase] ?? { from: heartbeatAt, to: null }
  seen[phase] = step
  if (status.startsWith('succeeded')) step.to ??= heartbeatAt
}

/** The steps that began, in their order; of the one at work also how far it is, and what it waits for. */
function stepsIn({ steps, status, progress, phase, waiting }: Run, seen: Steps): StepProgress[] {
  const told = steps === null || Object.keys(steps).length === 0 ? seen : steps
  return Object.entries(told)
    .sort(([, one], [, other]) => (one.from < other.from ? -1 : 1))
    .map(([name, { from, to }]) => {
      const { done = 0, total = 0 } = progress[name] ?? {}
      const isOver = status !== 'starting' && status !== 'running'
      return {
        ...{ name: visibleName(name), startedAt: new Date(from) },
        state: to !== null ? 'done' : isOver ? 'failed' : 'running',
        endedAt: to === null ? (isOver ? new Date(from) : undefined) : new Date(to),
        fraction: total > 0 ? done / total : undefined,
        waiting: name === phase && waiting !== null ? visibleName(waiting) : undefined,
      }
    })
}
