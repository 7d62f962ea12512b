import { loadFunctions } from '../../local/functions.ts'
import type { Handler } from '../../local/machine/tasks.ts'

/** The invocations of handlers that are at work: one beside a failed one in the Parallel goes on after the run has ended. */
export function invocationsAtWork() {
  const atWork = new Set<Promise<unknown>>()
  return {
    watch(handler: Handler): Handler {
      return (event, context) => {
        const invocation = Promise.resolve(handler(event, context))
        atWork.add(invocation)
        void invocation.catch(() => {}).finally(() => atWork.delete(invocation))
        return invocation
      }
    },
    /** Else it would hold its locks while the next test makes its tables. */
    settled: () => Promise.allSettled(atWork),
  }
}

/**
 * The functions, of which `around` is called before and after each invocation of a step; what it throws ends that. What is
 * loaded for the rehearsal is another step than what is loaded to be put back: it is left alone.
 */
export async function functionsWith(
  around: (when: string) => void | Promise<void>,
  { watch }: ReturnType<typeof invocationsAtWork>,
): Promise<Record<string, Handler>> {
  const watched = ([name, handler]: [string, Handler]): [string, Handler] => [
    name,
    watch(async (event, context) => {
      const { purpose, target } = event as { purpose?: string; target?: string }
      if (purpose === 'rehearse') return handler(event, context)
      const step = name === 'putback' ? `restore ${target}` : name === 'restore' ? 'restore database' : name
      await around(`before ${step}`)
      const answer = await handler(event, context)
      await around(`after ${step}`)
      return answer
    }),
  ]
  return Object.fromEntries(Object.entries(await loadFunctions()).map(watched))
}
