import { BackupIsStale } from '../../errors.ts'
import type { Connection } from '../../postgres/connection.ts'
import type { Relation } from '../../postgres/identifiers.ts'

/**
 * Which schemas the tables' names lead to. In a transaction that sees what was committed until now, which those do not that
 * see one moment.
 * @param asked.versions also which version of its row in the catalog each has: a rename that was taken back has made another one,
 *   but so has a GRANT
 */
export async function readNames(
  connection: Connection,
  tables: readonly Relation[],
  { versions }: { versions: boolean },
): Promise<string> {
  const schemas = new Set(tables.map(({ schema }) => schema))
  const found = await connection.query(
    `SELECT coalesce(string_agg(concat_ws(' ', oid, quote_ident(nspname), CASE WHEN $2 THEN xmin::text END), ',' ORDER BY oid), '') AS names
     FROM pg_namespace WHERE nspname = ANY($1)`,
    [[...schemas], versions],
  )
  return found.rows[0]?.names
}

/**
 * Statements name tables, and a lock on a table does not keep its schema from being renamed: what was compared with the backup and
 * what was emptied may be two tables then, and a backup may have some rows of the one and some of the other.
 * @throws BackupIsStale
 * @see docs/decisions.md#a-schema-that-is-renamed-under-the-locks-undoes-what-was-done
 */
export function refuseRenamed(before: string, now: string): void {
  if (before === now) return
  throw new BackupIsStale(
    'While its tables were locked a schema was renamed, replaced, or given other rights, so that their names may have meant other tables meanwhile. Nothing was changed; run again when the migration is done',
  )
}
