import { BackupIsStale } from '../../errors.ts'
import type { Connection } from '../../postgres/connection.ts'
import type { Locks } from './locks.ts'

/**
 * Which schemas the tables' names lead to, and which version of its row in the catalog each has: a rename makes another one. In
 * a transaction that sees what was committed until now, which the one under the locks does not.
 */
export async function readNames(connection: Connection, { exclusive, shared }: Locks): Promise<string> {
  const schemas = new Set([...exclusive, ...shared].map(({ schema }) => schema))
  const found = await connection.query(
    `SELECT coalesce(string_agg(concat_ws(' ', oid, xmin), ',' ORDER BY oid), '') AS names FROM pg_namespace WHERE nspname = ANY($1)`,
    [[...schemas]],
  )
  return found.rows[0]?.names
}

/**
 * Statements name tables, and a lock on a table does not keep its schema from being renamed: what was compared with the backup and
 * what was emptied may be two tables then.
 * @throws BackupIsStale
 * @see docs/decisions.md#a-schema-that-is-renamed-under-the-locks-undoes-what-was-done
 */
export function refuseRenamed(before: string, now: string): void {
  if (before === now) return
  throw new BackupIsStale(
    'While the tables were locked a schema of theirs was renamed, replaced, or given other rights, so that their names may have meant other tables meanwhile. Nothing was changed; run again when the migration is done',
  )
}
