import { BackupIsStale, DatabaseBusy, messageOf, RunLost, StoreUnavailable } from '../../errors.ts'
import type { Connection } from '../../postgres/connection.ts'
import { databaseError } from '../../postgres/errors.ts'
import type { Relation } from '../../postgres/identifiers.ts'

/** Which schemas the names of tables lead to. */
type Names = {
  schemas: string
  /** The versions of their rows in the catalog: a rename that was taken back has made another one, but so has a GRANT. */
  versions: string
}

/** In a transaction that sees what was committed until now, which those do not that see one moment. */
export async function readNames(connection: Connection, tables: readonly Relation[]): Promise<Names> {
  const schemas = new Set(tables.map(({ schema }) => schema))
  const found = await connection.query(
    `SELECT coalesce(string_agg(concat_ws(' ', oid, quote_ident(nspname)), ',' ORDER BY oid), '') AS schemas,
       coalesce(string_agg(xmin::text, ',' ORDER BY oid), '') AS versions
     FROM pg_namespace WHERE nspname = ANY($1)`,
    [[...schemas]],
  )
  return found.rows[0] as Names
}

/** What became of them: `renamed`, also by an exchange; `touched`: renamed and back, or given other rights. */
export function changeOf(before: Names, now: Names): 'renamed' | 'touched' | null {
  if (before.schemas !== now.schemas) return 'renamed'
  return before.versions === now.versions ? null : 'touched'
}

/**
 * What became of them while something failed, which may be how it showed: rows that are not those of the backup, a foreign key, a name
 * that is gone. A lock that was refused, a lost run and a store that is not to be had are what they are.
 * @param look when it fails, what was found is told
 */
export async function changeUnder(found: unknown, before: Names, look: () => Promise<Names>) {
  const error = databaseError(found)
  const isOther = [DatabaseBusy, RunLost, StoreUnavailable].some((kind) => error instanceof kind)
  return isOther ? null : changeOf(before, await look().catch(() => before))
}

/**
 * Statements name tables, and a lock on a table does not keep its schema from being renamed: what was compared with the backup and
 * what was emptied may be two tables then, and a backup may have some rows of the one and some of the other.
 * @param found what it showed as
 * @see docs/decisions.md#a-schema-that-is-renamed-under-the-locks-undoes-what-was-done
 */
export function renamed(found?: unknown): BackupIsStale {
  if (found instanceof BackupIsStale) return found
  const shown = found === undefined ? '' : `. It showed as: ${messageOf(found)}`
  return new BackupIsStale(
    `While its tables were locked a schema was renamed, replaced, or given other rights, so that their names may have meant other tables meanwhile. Nothing was changed; run again when the migration is done${shown}`,
    { cause: found },
  )
}
