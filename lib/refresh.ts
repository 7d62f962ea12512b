import { setTimeout } from 'node:timers/promises'
import { messageOf, StoreUnavailable } from './errors.ts'
import { logger } from './log.ts'

/** Milliseconds. */
type Ages = {
  /** From which age on the value is read again when it is asked for. */
  fresh: number
  /** Up to which it is still used while it cannot be read. */
  usable: number
  /** How long after a reading that failed the next one waits. */
  pause: number
  /** How long a reading is waited for while the value is still usable; it goes on, and counts when it ends. */
  patience: number
}

/**
 * A value that changes elsewhere, read again when it is asked for and has become old. A source that does not answer is no
 * reason to forget what it said, for a while; one that says something wrong, or that there is nothing, is: what was said
 * before does not hold any more.
 * @param source `read` throws StoreUnavailable when the source does not answer; any other error is its answer
 * @returns what gives the value, or throws what `read` threw
 * @see docs/decisions.md#the-list-of-tokens-is-read-again
 */
export function refreshed<Value>(
  name: string,
  { first, read, now }: { first: Value; read: () => Promise<Value>; now: () => Date },
  { fresh, usable, pause, patience }: Ages,
): () => Promise<Value> {
  let known: { value: Value; at: number } | undefined = { value: first, at: now().getTime() }
  let failed: { error: unknown; at: number } | undefined
  let reading: { done: Promise<void>; at: number } | undefined

  /** What is read is as old as its question: a process may stand still until the answer is looked at. */
  async function readAgain(at: number): Promise<void> {
    try {
      const value = await read()
      if (reading?.at !== at) return // another one was begun since
      known = { value, at }
      failed = undefined
    } catch (error) {
      if (reading?.at !== at) return
      failed = { error, at: now().getTime() }
      if (!(error instanceof StoreUnavailable)) known = undefined
      logger.warn(`${name} could not be read again`, { reason: messageOf(error) })
    }
    reading = undefined
  }

  const isOlder = (at: number | undefined, age: number) => at === undefined || now().getTime() - at >= age

  async function waitFor(reading: Promise<void>): Promise<void> {
    if (isOlder(known?.at, usable)) return reading
    const timer = new AbortController()
    const isLate = await Promise.race([
      reading.then(() => false),
      setTimeout(patience, true, { signal: timer.signal }),
    ])
    timer.abort()
    if (isLate) failed = { error: new StoreUnavailable(`${name} is not answered`), at: now().getTime() }
  }

  return async () => {
    if (isOlder(known?.at, fresh) && isOlder(failed?.at, pause)) {
      if (isOlder(reading?.at, fresh)) {
        const at = now().getTime()
        reading = { done: Promise.resolve(), at }
        reading.done = readAgain(at)
      }
      if (reading !== undefined) await waitFor(reading.done)
    }
    if (known !== undefined && !isOlder(known.at, usable)) return known.value
    throw failed?.error ?? new Error(`${name} is not known`)
  }
}
