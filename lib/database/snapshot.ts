import type { Clients, Connection } from '../clients.ts'
import { DatabaseBusy, messageOf, RowsHidden } from '../errors.ts'
import { literal, qualified } from './identifiers.ts'

type Relation = { schema: string; table: string }

/** Runs `use` with a connection that is ended afterwards, whatever happens. */
export async function withConnection<Result>(
  clients: Pick<Clients, 'connect'>,
  use: (connection: Connection) => Promise<Result>,
): Promise<Result> {
  const connection = await clients.connect()
  try {
    return await use(connection)
  } finally {
    await connection.end()
  }
}

/**
 * Runs `use` with `count` connections that see the same snapshot of `tables`, all locked against TRUNCATE and ALTER,
 * which do not respect snapshots. The snapshot lives while the first connection's transaction is open.
 * @throws DatabaseBusy when a lock is not granted within LOCK_TIMEOUT_MS
 */
export async function withSnapshot<Result>(
  clients: Clients,
  tables: readonly Relation[],
  count: number,
  use: (connections: Connection[]) => Promise<Result>,
): Promise<Result> {
  const connections: Connection[] = []
  try {
    const leader = await clients.connect()
    connections.push(leader)
    await leader.query(`SET lock_timeout = ${clients.config.LOCK_TIMEOUT_MS}`)
    // The locks come before the first query: that is when a REPEATABLE READ transaction takes its snapshot.
    await leader.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
    await lockShared(leader, tables)
    const exported = await leader.query('SELECT pg_export_snapshot() AS id')
    for (let worker = 1; worker < count; worker++) {
      const connection = await clients.connect()
      connections.push(connection)
      await connection.query(`SET lock_timeout = ${clients.config.LOCK_TIMEOUT_MS}`)
      await connection.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
      await connection.query(`SET TRANSACTION SNAPSHOT ${literal(exported.rows[0]?.id)}`)
      await lockShared(connection, tables)
    }
    return await use(connections)
  } catch (error) {
    throw databaseError(error)
  } finally {
    // Ending a connection ends its read-only transaction. One that broke may fail to end; what broke it was thrown above.
    await Promise.allSettled(connections.map((connection) => connection.end()))
  }
}

/** What Postgres reported, as one of our errors where we know what to do about it; else as it is. */
export function databaseError(error: unknown): unknown {
  const message = messageOf(error)
  switch (sqlStateOf(error)) {
    case '55P03':
    case '40P01':
      return new DatabaseBusy(
        `A table is locked by another session: ${message}. Nothing was changed; try again`,
        { cause: error },
      )
    case '42501':
      if (!message.includes('row-level security')) return error
      return new RowsHidden(
        `Row security hides rows from the database role: ${message}. Use the owner without FORCE ROW LEVEL SECURITY, or a role with BYPASSRLS, else the backup would be short`,
        { cause: error },
      )
    default:
      return error
  }
}

/** The five-character SQLSTATE of a Postgres error. */
export function sqlStateOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

async function lockShared(connection: Connection, tables: readonly Relation[]): Promise<void> {
  if (tables.length === 0) return
  const names = tables.map((table) => `ONLY ${qualified(table)}`)
  await connection.query(`LOCK TABLE ${names.join(', ')} IN ACCESS SHARE MODE`)
}
