import { agreeing } from '../../amounts.ts'
import type { Warning } from '../../backup/manifest.ts'
import { LimitExceeded } from '../../errors.ts'
import type { Connection } from '../../postgres/connection.ts'

/** Of the server: what it has room for is shared by all sessions (PostgreSQL's manual, "max_locks_per_transaction"). */
type LockSettings = { perTransaction: number; connections: number; prepared: number }

/** Objects that a transaction locks: the tables, and what hangs on them. */
type LockNeed = {
  tables: number
  /** Their indexes, TOAST tables and the indexes of those. */
  belongings: number
  sequences: number
  /** Copies in the scratch schema that a restore reads, with their TOAST tables; 0 for a wipe. */
  scratch: number
}

/** How many locks the server has room for at least. */
function lockCapacity({ perTransaction, connections, prepared }: LockSettings): number {
  return perTransaction * (connections + prepared)
}

/**
 * A server has room for more than its manual's formula says: it counts its own processes too, and keeps a reserve. PostgreSQL
 * 15 had twice as much with 100 connections, and 3.7 times as much with 20.
 */
const reserve = 2

/**
 * Refuses what one transaction could not lock, before anything is done.
 * @param does for the message, as in "The wipe"
 * @param reads it only reads the application's tables: what the server's reserve may have room for is warned of
 * @throws LimitExceeded with the figures, and the setting to raise
 * @see docs/decisions.md#what-one-transaction-cannot-lock-is-refused-by-count
 */
export function checkLockNeed(
  { does, reads }: { does: string; reads: boolean },
  need: LockNeed,
  settings: LockSettings,
): Warning[] {
  const { tables, belongings, sequences, scratch } = need
  const wanted = tables + belongings + sequences + scratch
  const capacity = lockCapacity(settings)
  if (wanted <= capacity) return []
  const { perTransaction, connections, prepared } = settings
  const enough = Math.ceil(wanted / (connections + prepared))
  const parts = [
    `${tables} ${agreeing(tables, 'table', 'tables')}`,
    `${belongings} of their indexes and TOAST tables`,
    `${sequences} ${agreeing(sequences, 'sequence', 'sequences')}`,
    ...(scratch === 0 ? [] : [`${scratch} for the copies that are loaded`]),
  ]
  const sentence = `${does} needs ${wanted} locks in one transaction (${parts.join(', ')}), and the server has room for ${capacity}: max_locks_per_transaction (${perTransaction}) × (max_connections (${connections}) + max_prepared_transactions (${prepared}))`
  const advice = `set max_locks_per_transaction to at least ${enough} and restart the server, or leave tables out (EXCLUDE_TABLES)`
  if (reads && wanted <= reserve * capacity) {
    const message = `${sentence}, and for what its reserve holds. It may run out of them, and the application's sessions with it; ${advice}`
    return [{ code: 'MayLackLocks', message }]
  }
  throw new LimitExceeded(`${sentence}. Nothing was touched; ${advice}`)
}

/** Indexes that a restore makes anew at most: of each the server locks the old one and the new one. */
export const mostMadeAnew = 100

/** What locking the tables takes; `reads`: also what a restore reads. */
export async function readLockNeed(
  connection: Connection,
  { oids, sequences, reads }: { oids: readonly number[]; sequences: number; reads: boolean },
): Promise<{ need: LockNeed; settings: LockSettings }> {
  const answer = await connection.query(
    `SELECT count(*)::int AS tables,
       coalesce(sum((SELECT count(*) FROM pg_index i WHERE i.indrelid = c.oid)
         + (SELECT count(*) FROM pg_index i WHERE i.indrelid = c.reltoastrelid)), 0)::int AS indexes,
       coalesce(sum((SELECT count(*) FROM pg_index i WHERE i.indrelid = c.oid
         AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid))), 0)::int AS plain,
       (count(*) FILTER (WHERE c.reltoastrelid <> 0))::int AS toast,
       current_setting('max_locks_per_transaction')::int AS "perTransaction",
       current_setting('max_connections')::int AS connections,
       current_setting('max_prepared_transactions')::int AS prepared
     FROM pg_class c WHERE c.oid = ANY($1::oid[])`,
    [oids],
  )
  const { tables, indexes, plain, toast, ...settings } = answer.rows[0]
  const scratch = reads ? tables + 2 * toast : 0
  const anew = reads ? Math.min(plain, mostMadeAnew) : 0
  return { need: { tables, belongings: indexes + anew + toast, sequences, scratch }, settings }
}
