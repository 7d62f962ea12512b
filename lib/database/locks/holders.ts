import { utc } from '../../amounts.ts'
import type { Connection } from '../../postgres/connection.ts'
import { qualified } from '../../postgres/identifiers.ts'

/** How many holders are told. */
const listed = 5

/** `exclusive`: nobody else may hold a lock on it, else only another's exclusive one is in the way. */
export type Wanted = { schema: string; table: string; exclusive: boolean }

/** `tables` are the indexes of those that are held, the one that has been held for longest first. */
export type Holders = { told: string; tables: number[] }

/**
 * Who is in the way of the locks that are wanted: sessions that hold one, also by a prepared transaction, which no session
 * shows; and a session that waits for an exclusive one, behind which everybody else waits.
 */
export async function findHolders(connection: Connection, wanted: readonly Wanted[]): Promise<Holders> {
  const answer = await connection.query(
    `WITH wanted AS (
       SELECT to_regclass(name)::oid AS oid, exclusive, at - 1 AS at
       FROM unnest($1::text[], $2::boolean[]) WITH ORDINALITY AS w(name, exclusive, at)
     ), held AS (
       SELECT l.pid, l.virtualtransaction, l.granted, c.relname, w.at FROM pg_locks l
       JOIN wanted w ON w.oid = l.relation JOIN pg_class c ON c.oid = l.relation
       WHERE l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
         AND l.pid IS DISTINCT FROM pg_backend_pid()
         AND CASE WHEN w.exclusive THEN l.granted ELSE l.mode = 'AccessExclusiveLock' END
     )
     SELECT h.pid, a.usename AS "user", a.application_name AS application, a.state, p.gid, h.granted,
       coalesce(a.xact_start, p.prepared) AS since,
       string_agg(DISTINCT h.relname, ', ') AS tables, json_agg(DISTINCT h.at) AS places
     FROM held h LEFT JOIN pg_stat_activity a ON a.pid = h.pid
     LEFT JOIN pg_locks own ON h.pid IS NULL AND own.pid IS NULL AND own.locktype = 'transactionid'
       AND own.virtualtransaction = h.virtualtransaction
     LEFT JOIN pg_prepared_xacts p ON p.transaction = own.transactionid
     GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY granted DESC, since LIMIT ${listed}`,
    [wanted.map(qualified), wanted.map(({ exclusive }) => exclusive)],
  )
  return {
    told: answer.rows.length === 0 ? 'nobody any more' : answer.rows.map(describe).join('; '),
    tables: answer.rows.flatMap(({ places }) => places as number[]),
  }
}

// biome-ignore lint/suspicious/noExplicitAny: the driver types rows as any
function describe({ pid, user, application, state, gid, granted, since, tables }: any): string {
  const does = granted ? 'holds' : 'waits for'
  const moment = since === null ? undefined : utc(since)
  if (pid === null) {
    const which = gid === null ? 'a prepared transaction' : `the prepared transaction '${gid}'`
    return `${which}${moment === undefined ? '' : `, prepared at ${moment},`} ${does} ${tables} (COMMIT PREPARED or ROLLBACK PREPARED ends it)`
  }
  const about = [
    `user ${user ?? 'unknown'}`,
    `application "${application ?? ''}"`,
    state ?? 'state hidden',
    ...(moment === undefined ? [] : [`in a transaction since ${moment}`]),
  ]
  return `process ${pid} (${about.join(', ')}) ${does} ${tables}`
}
