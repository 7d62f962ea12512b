import { setTimeout } from 'node:timers/promises'
import { DrizzleQueryError } from 'drizzle-orm'
import type { Clients, Connection } from '../clients.ts'
import {
  BackupIsStale,
  DatabaseBusy,
  messageOf,
  NotPermitted,
  PreservationConflict,
  ResetError,
  RowsHidden,
  StoreUnavailable,
} from '../errors.ts'
import { literal } from '../postgres/identifiers.ts'
import { isRefusedLock, lockTables, lockText } from './locks.ts'

type Relation = { schema: string; table: string }

/** Runs `use` with a connection that is ended afterwards, whatever happens. */
export async function withConnection<Result>(
  clients: Pick<Clients, 'connect'>,
  use: (connection: Connection) => Promise<Result>,
): Promise<Result> {
  const { connection, close } = await openConnection(clients)
  try {
    return await use(connection)
  } finally {
    await close()
  }
}

/** The same with `count` connections. */
export async function withConnections<Result>(
  clients: Pick<Clients, 'connect'>,
  count: number,
  use: (connections: Connection[]) => Promise<Result>,
): Promise<Result> {
  const tried = await Promise.allSettled(Array.from({ length: count }, () => openConnection(clients)))
  const opened = tried.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  try {
    for (const one of tried) if (one.status === 'rejected') throw one.reason
    return await use(opened.map(({ connection }) => connection))
  } finally {
    // One that broke may fail to end; what broke it is thrown above.
    await Promise.allSettled(opened.map(({ close }) => close()))
  }
}

/** Milliseconds. Ending takes a few; a connection that broke may take half a minute to say so, or never does. */
const endPatience = 1_000

/** A connection, and how to end it: waiting for its end, but not for long. */
export async function openConnection(clients: Pick<Clients, 'connect'>) {
  const connection = await clients.connect()
  const ended = new Promise<void>((resolve) => connection.once('end', resolve))
  async function close(): Promise<void> {
    const patience = new AbortController()
    const patient = setTimeout(endPatience, undefined, { signal: patience.signal }).catch(() => {})
    await Promise.race([ended, connection.end(), patient])
    patience.abort()
  }
  return { connection, close }
}

/** Begins a transaction that reads, and that sees one moment: that of its first query. */
export const beginSnapshot = 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY'

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
  return withConnections(clients, count, async (connections) => {
    try {
      await shareSnapshot(clients, connections as [Connection, ...Connection[]], tables)
      return await use(connections) // ending a connection ends its read-only transaction
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
  tables: readonly Relation[],
): Promise<void> {
  const { LOCK_TIMEOUT_MS } = clients.config
  const until = performance.now() + LOCK_TIMEOUT_MS
  for (;;) {
    try {
      return await joinSnapshot(clients, connections, tables)
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
  tables: readonly Relation[],
): Promise<void> {
  const { LOCK_TIMEOUT_MS } = clients.config
  const locks = { exclusive: [], shared: tables }
  // The locks come before the first query: that is when a REPEATABLE READ transaction takes its snapshot.
  await leader.query(`SET lock_timeout = ${LOCK_TIMEOUT_MS}; ${beginSnapshot}`)
  await lockTables(clients, leader, locks, {
    ask: (question) => withConnection(clients, question),
    say: async () => {}, // an export can be cancelled at any time, and changes nothing
  })
  if (others.length === 0) return
  const exported = await leader.query('SELECT pg_export_snapshot() AS id')
  const join = `${beginSnapshot}; SET TRANSACTION SNAPSHOT ${literal(exported.rows[0]?.id)}`
  for (const other of others) {
    const wait = Math.min(joinWaitMs, LOCK_TIMEOUT_MS)
    await other.query(
      `${join}; SET LOCAL lock_timeout = ${wait}; ${lockText(tables.map((table) => ({ ...table, exclusive: false })))}`,
    )
    await other.query(`SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS}`)
  }
}

/** What Postgres reported, as one of our errors where we know what to do about it; else as it is. */
export function databaseError(error: unknown): unknown {
  if (error instanceof ResetError) return error
  const cause = error instanceof DrizzleQueryError ? error.cause : error
  const message = messageOf(cause)
  const state = sqlStateOf(cause)
  switch (state) {
    case '55P03':
    case '40P01':
    case '40001':
      return new DatabaseBusy(
        `Another session is in the way: ${message}. The statement changed nothing; try again`,
        {
          cause,
        },
      )
    case '42P01':
    case '42703':
    case '3F000':
      return new BackupIsStale(
        `A table was dropped, renamed or altered since the run began: ${message}. The statement changed nothing; run again when the migration is done`,
        { cause },
      )
    case '42501':
      if (!message.includes('row-level security')) {
        return new NotPermitted(
          `The database role lacks a right: ${message}. The statement changed nothing; grant it`,
          {
            cause,
          },
        )
      }
      return new RowsHidden(
        `Row security hides rows from the database role: ${message}. Use the owner without FORCE ROW LEVEL SECURITY, or a role with BYPASSRLS, else the backup would be short`,
        { cause },
      )
    case '0A000': // cannot truncate a table that another one references
    case '23000': // a rule turned the query of a foreign key into another one
    case '23001':
    case '23503':
      return new PreservationConflict(
        `A foreign key does not let the tables be emptied: ${message}. Nothing was changed; preserve what it refers to, too`,
        { cause },
      )
    default:
      return isDisconnect(state, message)
        ? new StoreUnavailable(
            `The connection to the database broke: ${message}. Start again when it is back`,
            { cause },
          )
        : cause
  }
}

function isDisconnect(state: string | undefined, message: string): boolean {
  return state === undefined
    ? /^Connection terminated|is not queryable$/.test(message)
    : /^(08|57P)/.test(state)
}

/** The five-character SQLSTATE of a Postgres error. */
export function sqlStateOf(error: unknown): string | undefined {
  const cause = error instanceof DrizzleQueryError ? error.cause : error
  return cause instanceof Error && 'code' in cause && typeof cause.code === 'string' ? cause.code : undefined
}
