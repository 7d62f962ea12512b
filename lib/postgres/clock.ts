import type { Opener } from './with-connection.ts'
import { withConnection } from './with-connection.ts'

/**
 * The clock of the ledger's database, for what is compared between runs: when a backup was sealed, and which of them
 * retention lets go. Functions run on machines of which each has a clock of its own, and one that is late would make a
 * backup look older than those that came before it.
 * @throws StoreUnavailable
 */
export async function databaseClock(clients: Opener): Promise<() => Date> {
  const asked = await withConnection(clients, (connection) =>
    connection.query('SELECT clock_timestamp() AS now'),
  )
  const { now } = asked.rows[0] as { now: Date }
  const [at, since] = [now.getTime(), performance.now()]
  return () => new Date(at + performance.now() - since)
}
