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
