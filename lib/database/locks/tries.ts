/** Milliseconds of one try to get all locks. */
export type Try = {
  /** For the table that was in the way last time. Nothing else is held meanwhile. */
  first: number
  /** For each of the others, of which some are held already: less than a session waits before it looks for deadlocks. */
  each: number
  /** For all of the others together. */
  others: number
  /** How long everybody else gets through before the next try. */
  pause: number
}

const shortest = { first: 100, each: 50, others: 400, pause: 50 }

/**
 * More than Postgres' `deadlock_timeout` of one second, after which it ends an autovacuum that is in the way; and little
 * enough for an application that waits behind us for the same table.
 */
const longest = 1500

/** Less than a session that waits for one of them waits before it looks for deadlocks. */
const othersLongest = 900

/**
 * The tries that there is time for. Each waits and pauses longer than the one before: a transaction that takes long is
 * waited for in few long waits, and short ones give way between.
 */
export function triesWithin(milliseconds: number): Try[] {
  const tries: Try[] = []
  let left = milliseconds
  for (let factor = 1; left > 0; factor *= 2) {
    const most = (wanted: number) => Math.max(1, Math.min(wanted, longest, left))
    const next = {
      first: most(shortest.first * factor),
      each: most(shortest.each),
      others: Math.min(most(shortest.others * factor), othersLongest),
      pause: most(shortest.pause * factor),
    }
    tries.push(next)
    left -= next.first + next.pause
  }
  return tries
}
