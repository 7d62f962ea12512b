import { OutOfTime } from '../errors.ts'
import { type CountedLate, type Noted, readLateNoted, readNoted, replaceLate } from './documents.ts'
import type { LedgerLine } from './line.ts'
import { checkRunning } from './step.ts'

/**
 * What a step that destroys something asks before each request that does: whether its run still holds the lock. A function
 * that was frozen, or whose answer was lost, may wake up when its run is long over and another one has restored what it
 * was about to delete.
 */
export type Fence = {
  /** A later run has a higher one: for a store that can compare, and refuse a straggler by itself. */
  number: number
  /**
   * Aborts when the invocation ends in any way, so that nothing of it goes on in the background, and when its deadline
   * comes near: to be given to whatever takes one.
   */
  signal: AbortSignal
  /**
   * @throws RunLost when the run was cancelled, finished or taken over, or when only the latest invocation of the step may
   *   act, and a later one has begun
   * @throws OutOfTime when the invocation's deadline is near, or it has ended
   */
  check(): Promise<void>
  /** What the ledger holds of the run's plan. */
  noted(): Promise<Noted>
  /** Which late file of the run's backup counts; undefined: the ledger holds nothing of it. */
  lateOf(backupId: string): Promise<CountedLate | undefined>
  /**
   * Notes which one counts from here on.
   * @param before what lateOf gave when it was made
   * @throws RunLost as check does
   * @throws StoreUnavailable when another one was noted since
   */
  replaceLate(late: CountedLate, before: CountedLate | undefined): Promise<void>
}

/** Milliseconds before the deadline, at most: what a request that is under way may take to end. */
const reserveMs = 10_000

/** The span in which an invocation may act. */
export type Span = {
  signal: AbortSignal
  /** Milliseconds until the invocation is ended from outside. */
  remaining: number
  /** @throws OutOfTime */
  check(): void
  end(): void
}

/**
 * @param remainingMs what Lambda's context says: asked anew at each check, since a frozen process hears of its timers only
 *   when it wakes up
 */
export function spanOf(phase: string, remainingMs: () => number): Span {
  const remaining = remainingMs()
  const reserve = Math.min(reserveMs, remaining / 10)
  const over = new AbortController()
  const outOfTime = () =>
    new OutOfTime(
      `The step "${phase}" has used up the ${Math.round(remaining / 1000)} seconds of its invocation and stops, before it is ended from outside. It is repeated, and goes on where its results end`,
    )
  const timer = setTimeout(() => over.abort(outOfTime()), remaining - reserve)
  timer.unref()
  return {
    signal: over.signal,
    remaining,
    check() {
      if (remainingMs() <= reserve) over.abort(outOfTime())
      over.signal.throwIfAborted()
    },
    end() {
      clearTimeout(timer)
      over.abort(new OutOfTime(`The invocation of the step "${phase}" has ended, so nothing of it goes on`))
    },
  }
}

/** A step that opens or closes the run itself, or acts after its end, has no run that could hold the lock. */
export function fenceOf(
  ledger: LedgerLine,
  span: Span,
  { runId, number, invocation }: { runId: string | null; number: number | null; invocation: string | null },
): Fence {
  const { signal } = span
  if (runId === null || number === null) {
    const check = () =>
      Promise.reject(new Error('This step belongs to no run, so it may not destroy anything'))
    return { number: 0, signal, check, noted: check, lateOf: check, replaceLate: check }
  }
  return {
    number,
    signal,
    async check() {
      span.check()
      await ledger.use((connection) => checkRunning(connection, runId, invocation))
      span.check() // the answer may have come late
    },
    noted: () => ledger.use((connection) => readNoted(connection, runId)),
    lateOf: (backupId) => ledger.use((connection) => readLateNoted(connection, backupId)),
    replaceLate: (late, before) =>
      ledger.use((connection) => replaceLate(connection, runId, { late, before, invocation })),
  }
}
