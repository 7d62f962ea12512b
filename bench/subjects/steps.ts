import type { Run, Step } from '../steps/machine.ts'

/** The invocations of a run whose name begins with one of these. */
export function stepsOf({ steps }: Run, ...names: string[]): Step[] {
  return steps.filter(({ name }) => names.some((one) => name.startsWith(one)))
}
