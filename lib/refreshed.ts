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
}

/**
 * A value that changes elsewhere, read again when it is asked for and has become old. A source that does not answer is no
 * reason to forget what it said, for a while; one that says something wrong, or that there is nothing, is: what was said
 * before does not hold any more.
 * @param source `read` throws StoreUnavailable when the source does not answer; any other error is its answer
 * @returns what gives the value, or throws what `read` threw
 */
export function refreshed<Value>(
  name: string,
  { first, read, now }: { first: Value; read: () => Promise<Value>; now: () => Date },
  { fresh, usable, pause }: Ages,
): () => Promise<Value> {
  let known: { value: Value; at: number } | undefined = { value: first, at: now().getTime() }
  let failed: { error: unknown; at: number } | undefined
  let reading: Promise<void> | undefined

  async function readAgain(): Promise<void> {
    try {
      known = { value: await read(), at: now().getTime() }
      failed = undefined
    } catch (error) {
      failed = { error, at: now().getTime() }
      if (!(error instanceof StoreUnavailable)) known = undefined
      logger.warn(`${name} could not be read again`, { reason: messageOf(error) })
    } finally {
      reading = undefined
    }
  }

  return async () => {
    const isOlder = (at: number | undefined, age: number) => at === undefined || now().getTime() - at >= age
    if (isOlder(known?.at, fresh) && isOlder(failed?.at, pause)) {
      reading ??= readAgain()
      await reading
    }
    if (known !== undefined && !isOlder(known.at, usable)) return known.value
    throw failed?.error ?? new Error(`${name} is not known`)
  }
}
