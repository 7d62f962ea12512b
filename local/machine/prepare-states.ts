import type { Definition, State } from './definition.ts'

// setTimeout counts in 32 bits of milliseconds: a longer one fires at once. AWS's own default is more than three years.
const LONGEST_TIMEOUT_SECONDS = 2_000_000

/** The fields of a Map that the interpreter must not see once the Map has become a Task. */
const MAP_FIELDS = ['Parameters', 'ItemSelector', 'ItemsPath', 'ItemProcessor', 'Iterator', 'MaxConcurrency']

/**
 * One level of a definition, in the form in which the interpreter runs it as AWS does. It evaluates paths, choices, waits,
 * retries and catches. Parallel and Map become Tasks whose function is ours, because its own run on with further items after
 * one has failed, know no tolerated failures, let the error of a Distributed Map's child through by its own name, and
 * give nested states a context object of their own. The rest here are single differences, each named where it is.
 */
export function prepareStates(definition: Definition): Definition {
  const states = Object.entries(definition.States).map(([name, state]) => [name, prepareState(state)])
  return {
    StartAt: definition.StartAt,
    States: Object.fromEntries(states),
    ...(definition.TimeoutSeconds ? { TimeoutSeconds: within(definition.TimeoutSeconds) } : {}),
  }
}

function prepareState(state: State): State {
  let prepared = redirectExecution(state) as State
  if (state.Type === 'Parallel' || state.Type === 'Map') {
    const dropped = state.Type === 'Map' ? MAP_FIELDS : ['Branches']
    prepared = { ...omit(prepared, dropped), Type: 'Task', TimeoutSeconds: LONGEST_TIMEOUT_SECONDS }
  } else if (state.Type === 'Task' && !('TimeoutSecondsPath' in state)) {
    // Left out, the interpreter would take 60 seconds.
    prepared.TimeoutSeconds = within(
      typeof state.TimeoutSeconds === 'number' ? state.TimeoutSeconds : Infinity,
    )
  }
  // It passes the input on instead of a Result that is false, 0, "" or null; as Parameters such a value gets through.
  if (state.Type === 'Pass' && 'Result' in state && !state.Result) {
    prepared = { ...omit(prepared, ['Result']), Type: 'Pass', Parameters: state.Result }
  }
  prepared = withoutRootPath(prepared) as State
  if (Array.isArray(prepared.Catch)) prepared.Catch = prepared.Catch.map(withoutRootPath)
  return prepared
}

/** ResultPath "$" means what no ResultPath means, but the interpreter would make a key called "$". */
function withoutRootPath(part: Record<string, unknown>): Record<string, unknown> {
  return part.ResultPath === '$' ? omit(part, ['ResultPath']) : part
}

/**
 * The interpreter sets `$$.Execution.Input` and `StartTime` itself, anew in each nested run. We give the execution under
 * another name, and let every path point there.
 */
function redirectExecution(value: unknown, isPath = false): unknown {
  if (typeof value === 'string') return isPath ? value.replaceAll(/\$\$\.Execution\b/g, '$$$$.Run') : value
  if (Array.isArray(value)) return value.map((part) => redirectExecution(part, isPath))
  if (value === null || typeof value !== 'object') return value
  const entries = Object.entries(value).map(([key, part]) => [key, redirectExecution(part, namesPath(key))])
  return Object.fromEntries(entries)
}

function namesPath(key: string): boolean {
  return key.endsWith('.$') || key.endsWith('Path') || key === 'Variable'
}

function omit(part: Record<string, unknown>, fields: string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(part).filter(([field]) => !fields.includes(field)))
}

function within(seconds: number): number {
  return Math.min(seconds, LONGEST_TIMEOUT_SECONDS)
}
