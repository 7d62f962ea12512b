import { BackupBeingPruned, RunActive, RunStarting } from '../../errors.ts'
import { TooManyRequests } from '../errors.ts'

/** Seconds. A run takes from some seconds to hours; whoever asks each ten of them is not late, and nobody's burden. */
const whileActive = 10
const whilePruning = 30
/** Its first step has begun, or is about to; who wants to call it off is in a hurry. */
const whileStarting = 1
/** A store that did not answer, or a lock that was not granted. */
const whileDown = 5
/** What is told at most: an invocation cannot be alive for longer. */
const atMost = 15 * 60

/** Seconds after which the same request may be answered otherwise; null: waiting does not help. */
export function retryAfter(error: unknown, status: number): number | null {
  if (error instanceof RunActive) return error.until === null ? whileActive : secondsUntil(error.until)
  if (error instanceof TooManyRequests) return error.seconds
  if (error instanceof BackupBeingPruned) return whilePruning
  if (error instanceof RunStarting) return whileStarting
  return status === 503 ? whileDown : null
}

function secondsUntil(time: Date): number {
  return Math.min(Math.max(Math.ceil((time.getTime() - Date.now()) / 1000), 1), atMost)
}
