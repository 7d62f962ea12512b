import { setTimeout as sleep } from 'node:timers/promises'
import { checkIdle } from '../../../lib/ledger/open.ts'
import type { Connection } from '../../../lib/postgres/connection.ts'
import type { Opener } from '../../../lib/postgres/with-connection.ts'
import { withConnections } from '../../../lib/postgres/with-connection.ts'

/** Milliseconds between two looks. A run waits ten times as long for what it has to drop. */
const every = 2_000

/**
 * Works while no run does, and gives way to one that begins: its Count drops every scratch schema that is not its own, and must not
 * have to wait for a statement that reads one.
 * @param work is given a connection, whose statement is ended then, and `check`, which throws from then on
 * @throws RunActive when a run is, or becomes, active
 */
export async function whileIdle<Result>(
  clients: Opener,
  work: (connection: Connection, check: () => void) => Promise<Result>,
): Promise<Result> {
  return withConnections(clients, 2, async ([connection, watching]) => {
    const [worker, watcher] = [connection as Connection, watching as Connection]
    await checkIdle(watcher)
    const { rows } = await worker.query('SELECT pg_catalog.pg_backend_pid() AS pid')
    const over = new AbortController()
    let inTheWay: { error: unknown } | undefined
    const check = () => {
      if (inTheWay !== undefined) throw inTheWay.error
    }
    async function watch(): Promise<void> {
      for (;;) {
        await sleep(every, undefined, { signal: over.signal }).catch(() => {})
        if (over.signal.aborted) return
        try {
          await checkIdle(watcher)
        } catch (error) {
          inTheWay ??= { error }
          // Once more at the next look: it may have come between two statements.
          await watcher.query('SELECT pg_catalog.pg_cancel_backend($1)', [rows[0]?.pid]).catch(() => {})
        }
      }
    }
    const watched = watch()
    try {
      return await work(worker, check)
    } catch (error) {
      throw inTheWay === undefined ? error : inTheWay.error
    } finally {
      over.abort()
      await watched
    }
  })
}
