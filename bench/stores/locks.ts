import { setTimeout } from 'node:timers/promises'
import { connect } from './database.ts'

/** How often Postgres is asked, which is how exact the answer is. */
const pauseMs = 5

/**
 * Watches from when to when the application could not even read one of its tables.
 * @param url of a role that sees all locks
 * @returns what ends the watch, and gives the longest time, in seconds
 */
export async function watchLocks(url: string): Promise<() => Promise<number>> {
  const client = await connect(url)
  let watching = true
  let longest = 0
  const watched = (async () => {
    let since: number | undefined
    while (watching) {
      const { rows } = await client.query(held)
      const { now, locks } = rows[0] as { now: number; locks: number }
      since = locks === 0 ? undefined : (since ?? now)
      if (since !== undefined) longest = Math.max(longest, now - since)
      await setTimeout(pauseMs)
    }
  })()
  watched.catch(() => {}) // said when the watch ends
  return async () => {
    watching = false
    try {
      await watched
    } finally {
      await client.end()
    }
    return longest
  }
}

const held = `
  SELECT extract(epoch FROM clock_timestamp())::float8 AS now, count(*)::int AS locks
  FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation JOIN pg_namespace AS n ON n.oid = c.relnamespace
  WHERE l.mode = 'AccessExclusiveLock' AND l.granted AND n.nspname = 'public' AND c.relkind = 'r'
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())`
