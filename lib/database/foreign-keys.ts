import type { Connection } from '../clients.ts'
import { qualified, quote } from './identifiers.ts'

type Relation = { schema: string; table: string; oid: number }

/**
 * Drops every foreign key from or to one of the tables, also those of tables that stay and those that a partition has from
 * the table above it: rows are swapped without an order, and one validating join per key at the end is cheaper than a
 * check per row. Checks that are NOT VALID go too: rows that were there before them may break them.
 * @returns the statements that add each again as it was; adding validates it, unless it was NOT VALID
 */
export async function dropConstraints(
  connection: Connection,
  tables: readonly Relation[],
): Promise<string[]> {
  const found = await connection.query(
    `WITH swapped AS (
       SELECT oid FROM unnest($1::oid[]) AS t(oid)
       UNION SELECT relid::oid FROM unnest($1::oid[]) AS t(oid), pg_partition_ancestors(t.oid::regclass)
     )
     SELECT n.nspname AS schema, c.relname AS "table", k.conname AS name, pg_get_constraintdef(k.oid) AS definition,
       obj_description(k.oid, 'pg_constraint') AS comment
     FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE k.conparentid = 0 AND k.coninhcount = 0
       AND (k.conrelid IN (SELECT oid FROM swapped) OR k.confrelid IN (SELECT oid FROM swapped))
       AND (k.contype = 'f' OR (k.contype = 'c' AND NOT k.convalidated))
     ORDER BY k.oid`,
    [tables.map(({ oid }) => oid)],
  )
  const undo: string[] = []
  for (const { schema, table, name, definition, comment } of found.rows) {
    const alter = `ALTER TABLE ${qualified({ schema, table })}`
    await connection.query(`${alter} DROP CONSTRAINT ${quote(name)}`)
    undo.push(`${alter} ADD CONSTRAINT ${quote(name)} ${definition}`)
    if (comment !== null) {
      const text = comment.replaceAll("'", "''").replaceAll('\\', '\\\\')
      undo.push(`COMMENT ON CONSTRAINT ${quote(name)} ON ${qualified({ schema, table })} IS E'${text}'`)
    }
  }
  return undo
}
