import { BackupIsStale, DatabaseBusy, messageOf, RunLost, StoreUnavailable } from '../../errors.ts'
import type { Connection } from '../../postgres/connection.ts'
import { databaseError } from '../../postgres/errors.ts'
import type { Relation } from '../../postgres/identifiers.ts'
import { heldTypesOf } from '../constraints/row-expressions.ts'

/** Which schemas the names of tables lead to, and how values of their types are written. */
type Names = {
  schemas: string
  /** The versions of their rows in the catalog: a rename that was taken back has made another one, but so has a GRANT. */
  versions: string
  /** Of the types of the application's own that the tables hold, also inside of others. */
  texts: Readonly<Record<string, string>>
}

/** What a value's text is made of beside its type's output function: labels, which attributes there are, and for a line a cast to json. */
const textsOfTypes = `
  SELECT concat('label ', e.oid) AS key, concat_ws(' ', e.xmin, e.enumlabel) AS text FROM pg_enum e WHERE e.enumtypid IN (SELECT type FROM held)
  UNION ALL SELECT concat('attributes of ', t.oid), (SELECT string_agg(concat_ws(' ', a.attnum, a.atttypid), ',' ORDER BY a.attnum)
    FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped)
    FROM pg_type t WHERE t.typrelid <> 0 AND t.oid IN (SELECT type FROM held)
  UNION ALL SELECT concat('cast of ', t.type), (SELECT concat(k.oid) FROM pg_cast k WHERE k.castsource = t.type AND k.casttarget = 'json'::regtype)
    FROM (SELECT DISTINCT type FROM held) AS t`

/** In a transaction that sees what was committed until now, which those do not that see one moment. */
export async function readNames(connection: Connection, tables: readonly Relation[]): Promise<Names> {
  const named = `ARRAY(SELECT c.oid FROM unnest($1::text[], $2::text[]) AS t(schema, name)
    JOIN pg_namespace n ON n.nspname = t.schema JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.name)`
  const found = await connection.query(
    `WITH RECURSIVE ${heldTypesOf(named)}
     SELECT coalesce(string_agg(concat_ws(' ', oid, quote_ident(nspname)), ',' ORDER BY oid), '') AS schemas,
       coalesce(string_agg(xmin::text, ',' ORDER BY oid), '') AS versions,
       (SELECT coalesce(jsonb_object_agg(key, coalesce(text, '')), '{}') FROM (${textsOfTypes}) AS of_types) AS texts
     FROM pg_namespace WHERE nspname = ANY($1)`,
    [tables.map(({ schema }) => schema), tables.map(({ table }) => table)],
  )
  return found.rows[0] as Names
}

/**
 * What became of them: `renamed`, also by an exchange, or by what a type's values are written as (a label that is added changes none);
 * `touched`: renamed and back, or given other rights.
 */
export function changeOf(before: Names, now: Names): 'renamed' | 'touched' | null {
  const isWritten = Object.entries(before.texts).every(([key, text]) => now.texts[key] === text)
  if (before.schemas !== now.schemas || !isWritten) return 'renamed'
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
 * what was emptied may be two tables then, and a backup may have some rows of the one and some of the other. Nor does it keep a type from
 * being altered, of which no snapshot has the values' texts.
 * @param found what it showed as
 * @see docs/decisions.md#a-schema-that-is-renamed-under-the-locks-undoes-what-was-done
 * @see docs/decisions.md#no-snapshot-has-what-values-are-written-as
 */
export function renamed(found?: unknown): BackupIsStale {
  if (found instanceof BackupIsStale) return found
  const shown = found === undefined ? '' : `. It showed as: ${messageOf(found)}`
  return new BackupIsStale(
    `While its tables were locked a schema was renamed, replaced, or given other rights, or a type of theirs was altered, so that names of tables or of values may have meant others meanwhile. Nothing was changed; run again when the migration is done${shown}`,
    { cause: found },
  )
}
