import { setTimeout as sleep } from 'node:timers/promises'
import { givesWay } from '../../../lib/database/scratch/drop.ts'
import { ResetError, StoreUnavailable } from '../../../lib/errors.ts'
import { checkIdle } from '../../../lib/ledger/open.ts'
import type { Connection } from '../../../lib/postgres/connection.ts'
import { literal } from '../../../lib/postgres/identifiers.ts'
import type { Opener } from '../../../lib/postgres/with-connection.ts'
import { withConnections } from '../../../lib/postgres/with-connection.ts'

/** Milliseconds between two looks. A run waits ten times as long for what it has to drop. */
const every = 2_000

/** `check` throws from when a run was seen, which `look` looks for at once. */
type Idle = { connection: Connection; check: () => void; look: () => Promise<void> }

/** The same clients, whose sessions a run that begins ends where they are in its way, whatever this process does meanwhile. */
export function givingWay<Clients extends Opener>(clients: Clients): Clients {
  async function connect(): Promise<Connection> {
    const connection = await clients.connect()
    await connection.query(`SET application_name = ${literal(givesWay)}`)
    return connection
  }
  return { ...clients, connect }
}

/**
 * Works while no run does, and gives way to one that begins: its Count drops every scratch schema that is not its own, and must not
 * have to wait for a statement that reads one.
 * @param work is given a connection, whose statement is ended then
 * @throws RunActive when a run is, or becomes, active
 */
export async function whileIdle<Result>(
  clients: Opener,
  work: (idle: Idle) => Promise<Result>,
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
    async function look(): Promise<void> {
      await checkIdle(watcher).catch((error: unknown) => {
        inTheWay ??= { error }
      })
    }
    async function watch(): Promise<void> {
      for (;;) {
        await sleep(every, undefined, { signal: over.signal }).catch(() => {})
        if (over.signal.aborted) return
        await look()
        // Once more at the next look: it may have come between two statements.
        if (inTheWay !== undefined)
          await watcher.query('SELECT pg_catalog.pg_cancel_backend($1)', [rows[0]?.pid]).catch(() => {})
      }
    }
    const watched = watch()
    try {
      return await work({ connection: worker, check, look })
    } catch (error) {
      // The run that began may have ended a session before anybody looked.
      if (error instanceof StoreUnavailable || !(error instanceof ResetError)) await look()
      throw inTheWay === undefined ? error : inTheWay.error
    } finally {
      over.abort()
      await watched
    }
  })
}
