import { setTimeout } from 'node:timers/promises'
import type { Clients } from '../clients.ts'
import type { Connection } from '../postgres/connection.ts'
import { databaseError } from '../postgres/errors.ts'
import { literal, type Relation } from '../postgres/identifiers.ts'
import { withConnection, withConnections } from '../postgres/with-connection.ts'
import { isRefusedLock, lockTables, lockText } from './locks/locks.ts'
import { changeOf, readNames, renamed } from './locks/names.ts'

/** Begins a transaction that reads, and that sees one moment: that of its first query. */
export const beginSnapshot = 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY'
/** The same for what makes tables of its own to work with, which are gone with it. */
export const beginWorkingSnapshot = 'BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE'

/**
 * Runs `use` with `count` connections that see the same snapshot of `tables`, all locked against TRUNCATE and ALTER,
 * which do not respect snapshots. The snapshot lives while the first connection's transaction is open.
 * @param begin how each of them begins it
 * @throws DatabaseBusy when a lock is not granted within LOCK_TIMEOUT_MS; BackupIsStale when a schema was renamed meanwhile
 */
export async function withSnapshot<Result>(
  clients: Clients,
  tables: readonly Relation[],
  count: number,
  use: (connections: Connection[]) => Promise<Result>,
  begin = beginSnapshot,
): Promise<Result> {
  return withConnections(clients, count, async (connections) => {
    try {
      const [leader] = connections as [Connection]
      const before = await readNames(leader, tables)
      await shareSnapshot(clients, connections as [Connection, ...Connection[]], { tables, begin })
      const result = await use(connections)
      await leader.query('ROLLBACK') // ending the others ends their transactions
      if (changeOf(before, await readNames(leader, tables)) === 'renamed') throw renamed()
      return result
    } catch (error) {
      throw databaseError(error)
    }
  })
}

/** Milliseconds that the other connections wait for a lock that the first one holds already. */
const joinWaitMs = 500

/**
 * A migration that asks for an exclusive lock after the first connection has its own waits for that one, and the other
 * connections would wait behind the migration. So all let go then, and begin again when it had its turn.
 */
async function shareSnapshot(
  clients: Clients,
  connections: readonly [Connection, ...Connection[]],
  wanted: { tables: readonly Relation[]; begin: string },
): Promise<void> {
  const { LOCK_TIMEOUT_MS } = clients.config
  const until = performance.now() + LOCK_TIMEOUT_MS
  for (;;) {
    try {
      return await joinSnapshot(clients, connections, wanted)
    } catch (error) {
      if (!isRefusedLock(error) || performance.now() >= until) throw error
      await Promise.all(connections.map((one) => one.query('ROLLBACK')))
      await setTimeout(joinWaitMs)
    }
  }
}

async function joinSnapshot(
  clients: Clients,
  [leader, ...others]: readonly [Connection, ...Connection[]],
  { tables, begin }: { tables: readonly Relation[]; begin: string },
): Promise<void> {
  const { LOCK_TIMEOUT_MS } = clients.config
  const locks = { exclusive: [], shared: tables }
  // The locks come before the first query: that is when a REPEATABLE READ transaction takes its snapshot.
  await leader.query(`SET lock_timeout = ${LOCK_TIMEOUT_MS}; ${begin}`)
  await lockTables(clients, leader, locks, {
    ask: (question) => withConnection(clients, question),
    say: async () => {}, // an export can be cancelled at any time, and changes nothing
  })
  if (others.length === 0) return
  const exported = await leader.query('SELECT pg_export_snapshot() AS id')
  const join = `${begin}; SET TRANSACTION SNAPSHOT ${literal(exported.rows[0]?.id)}`
  for (const other of others) {
    const wait = Math.min(joinWaitMs, LOCK_TIMEOUT_MS)
    await other.query(
      `${join}; SET LOCAL lock_timeout = ${wait}; ${lockText(tables.map((table) => ({ ...table, exclusive: false })))}`,
    )
    await other.query(`SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS}`)
  }
}
