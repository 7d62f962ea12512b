import type { Connection } from '../../postgres/connection.ts'
import { indexBody } from '../catalog/index-body.ts'
import { readTypes } from './types.ts'

/** What a table asks of its rows: a constraint, or `i`, a unique index that is none. */
export type AskedOfRows = {
  oid: number
  /** The table, as SQL writes it. */
  sql: string
  kind: 'p' | 'u' | 'x' | 'c' | 'f' | 'i'
  name: string
  /** As the definition of a backup says it: what follows the constraint's name, or the index's table. */
  text: string
  /** The columns that it is about; of an expression in an index nothing is told. */
  columns: string[]
}

const askedQuery = `
SELECT f.oid::bigint::float8 AS oid, format('%I.%I', n.nspname, t.relname) AS sql, f.kind, f.name, f.text,
  ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = f.oid AND a.attnum > 0 AND a.attnum = ANY (f.numbers)) AS columns
FROM (
  SELECT k.conrelid AS oid, k.contype::text AS kind, k.conname::text AS name, pg_get_constraintdef(k.oid) AS text, k.conkey::int2[] AS numbers
  FROM pg_constraint k WHERE k.conrelid = ANY($1::oid[]) AND k.contype IN ('p', 'u', 'x', 'c', 'f') AND k.conislocal AND k.conparentid = 0
    AND k.convalidated AND coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true)
  UNION ALL
  SELECT i.indrelid, 'i', c.relname::text, ${indexBody}, i.indkey::int2[]
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
  WHERE i.indrelid = ANY($1::oid[]) AND i.indisunique AND NOT c.relispartition AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = c.oid AND k.contype IN ('p', 'u', 'x'))
) AS f JOIN pg_class t ON t.oid = f.oid JOIN pg_namespace n ON n.oid = t.relnamespace
ORDER BY 2, 4`

/** What tables ask of their rows now, and what makes the types that they have, in the words in which a definition has both. */
export async function readAsked(
  connection: Connection,
  oids: readonly number[],
): Promise<{ asked: AskedOfRows[]; types: string[] }> {
  const { rows } = await connection.query(askedQuery, [oids])
  return { asked: rows, types: (await readTypes(connection, oids)).statements }
}
