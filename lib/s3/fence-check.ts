/** Milliseconds for which an answer is believed. A frozen process wakes up much later than that. */
const believedMs = 100

/** What is asked before each request that changes something. @throws when the request must not be sent */
export type Check = () => Promise<void>

/**
 * The check for requests that are sent at the same time, so that 64 copies are not 64 questions: they share an answer that
 * is being waited for, or is younger than a tenth of a second.
 */
export function sharedCheck({ check }: { check: Check }): Check {
  let answer: Promise<void> | undefined
  let askedAt = 0
  return () => {
    const now = performance.now()
    if (answer === undefined || now - askedAt > believedMs) {
      askedAt = now
      answer = check()
    }
    return answer
  }
}
