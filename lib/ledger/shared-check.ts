import type { Fence } from './fence.ts'

/** Milliseconds for which an answer of the ledger is believed. A frozen process wakes up much later than that. */
const believedMs = 100

/**
 * The fence for requests that are sent at the same time, so that 64 copies are not 64 questions: they share an answer that
 * is being waited for, or is younger than a tenth of a second.
 */
export function sharedCheck(fence: Fence): Fence['check'] {
  let answer: Promise<void> | undefined
  let askedAt = 0
  return () => {
    const now = performance.now()
    if (answer === undefined || now - askedAt > believedMs) {
      askedAt = now
      answer = fence.check()
    }
    return answer
  }
}
