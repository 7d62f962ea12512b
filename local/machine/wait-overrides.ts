import type { RunOptions } from 'aws-local-stepfunctions'
import type { Definition } from './definition.ts'

/** Milliseconds to wait in place of each Retry's interval and each Wait: for all states, or by the state's name. */
export type RetryIntervals = number | Record<string, number> | undefined

type Overrides = Pick<NonNullable<RunOptions['overrides']>, 'retryIntervalOverrides' | 'waitTimeOverrides'>

export function waitOverrides(definition: Definition, intervals: RetryIntervals): Overrides {
  const retryIntervalOverrides: Record<string, number> = {}
  const waitTimeOverrides: Record<string, number> = {}
  for (const [name, state] of Object.entries(definition.States)) {
    const interval = typeof intervals === 'object' ? intervals[name] : intervals
    if (interval === undefined) continue
    const overrides = state.Type === 'Wait' ? waitTimeOverrides : retryIntervalOverrides
    overrides[name] = interval
  }
  return { retryIntervalOverrides, waitTimeOverrides }
}
