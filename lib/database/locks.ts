import type { Clients, Connection } from '../clients.ts'
import { DatabaseBusy, messageOf } from '../errors.ts'
import { qualified } from './identifiers.ts'
import { sqlStateOf, withConnection } from './snapshot.ts'

type Relation = { schema: string; table: string; oid: number }

/**
 * Locks tables against everybody else until the transaction ends.
 * @throws DatabaseBusy naming who holds them, when they are not granted within LOCK_TIMEOUT_MS
 */
export async function lockExclusively(
  clients: Clients,
  connection: Connection,
  tables: readonly Relation[],
): Promise<void> {
  if (tables.length === 0) return
  await connection.query(`SET LOCAL lock_timeout = ${clients.config.LOCK_TIMEOUT_MS}`)
  try {
    const names = tables.map((table) => `ONLY ${qualified(table)}`)
    await connection.query(`LOCK TABLE ${names.join(', ')} IN ACCESS EXCLUSIVE MODE`)
  } catch (cause) {
    if (!['55P03', '40P01'].includes(sqlStateOf(cause) ?? '')) throw cause
    const holders = await withConnection(clients, (other) => findHolders(other, tables))
    throw new DatabaseBusy(
      `The tables could not be locked within ${clients.config.LOCK_TIMEOUT_MS} ms (${messageOf(cause)}). ${holders}. Nothing was wiped; end what holds them, or try again later`,
      { cause },
    )
  }
}

async function findHolders(connection: Connection, tables: readonly Relation[]): Promise<string> {
  const answer = await connection.query(
    `SELECT a.pid, a.usename, a.application_name, a.state, min(a.xact_start) AS since,
       string_agg(DISTINCT c.relname, ', ') AS tables
     FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid JOIN pg_class c ON c.oid = l.relation
     WHERE l.granted AND l.relation = ANY($1::oid[]) AND a.pid <> pg_backend_pid()
       AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
     GROUP BY 1, 2, 3, 4 ORDER BY since LIMIT 5`,
    [tables.map(({ oid }) => oid)],
  )
  if (answer.rows.length === 0) return 'Whoever held them has let go since'
  const holders = answer.rows.map(
    (row) =>
      `process ${row.pid} (user ${row.usename ?? 'unknown'}, application "${row.application_name ?? ''}", ${row.state ?? 'state hidden'}${row.since ? `, in a transaction since ${new Date(row.since).toISOString()}` : ''}) holds ${row.tables}`,
  )
  return `They are held: ${holders.join('; ')}`
}
