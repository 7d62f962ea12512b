import type { Json, State } from './definition.ts'
import { runStates, type StatesRun } from './run-states.ts'

/** All branches at once; the first one that fails ends the others, and its error is the state's. */
export async function runParallel(state: State, input: Json, run: StatesRun): Promise<Json> {
  const add = (type: string) => {
    if (!run.signal.aborted) run.previousEvent = run.history.add(run.previousEvent, type)
  }
  add('ParallelStateStarted')
  const failed = new AbortController()
  const signal = AbortSignal.any([run.signal, failed.signal])
  const branches = (state.Branches ?? []).map((branch) =>
    runStates(branch, structuredClone(input), { ...run, signal }),
  )
  try {
    const outputs = await Promise.all(branches)
    add('ParallelStateSucceeded')
    return outputs
  } catch (error) {
    failed.abort()
    add('ParallelStateFailed')
    throw error
  }
}
