import type { Connection } from '../../postgres/connection.ts'

/** The options of a sequence, as CREATE SEQUENCE has them; `q` is its row of pg_sequence. */
export const sequenceOptions = `format('START WITH %s INCREMENT BY %s MINVALUE %s MAXVALUE %s CACHE %s%s', q.seqstart, q.seqincrement, q.seqmin, q.seqmax,
  q.seqcache, CASE WHEN q.seqcycle THEN ' CYCLE' ELSE '' END)`

// Those of identity columns are made with their column.
const sequencesQuery = `
SELECT n.nspname AS schema,
  format('CREATE %sSEQUENCE %I.%I AS %s ', CASE c.relpersistence WHEN 'u' THEN 'UNLOGGED ' ELSE '' END, n.nspname, c.relname,
    format_type(q.seqtypid, NULL)) || ${sequenceOptions} AS made,
  (SELECT format('ALTER SEQUENCE %I.%I OWNED BY %I.%I.%I', n.nspname, c.relname, tn.nspname, t.relname, a.attname)
    FROM pg_depend d JOIN pg_class t ON t.oid = d.refobjid JOIN pg_namespace tn ON tn.oid = t.relnamespace
    JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
    WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'a' AND t.oid = ANY($1::oid[])) AS owned
FROM pg_sequence q JOIN pg_class c ON c.oid = q.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE ((n.nspname, c.relname) IN (SELECT * FROM unnest($2::text[], $3::text[])) OR EXISTS (SELECT FROM pg_depend d
    WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'a' AND d.refobjid = ANY($1::oid[])))
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'i')
ORDER BY n.nspname, c.relname`

/** What makes `sequences`, and those that columns of `tables` own, but for those of identity columns; and what gives them to the columns of `tables`, once these are there. */
export async function readSequences(
  connection: Connection,
  tables: readonly number[],
  sequences: readonly { schema: string; table: string }[],
): Promise<{ statements: string[]; owned: string[]; schemas: string[] }> {
  const named = [sequences.map(({ schema }) => schema), sequences.map(({ table }) => table)]
  const { rows } = await connection.query(sequencesQuery, [tables, ...named])
  return {
    statements: rows.map(({ made }) => made),
    owned: rows.flatMap(({ owned }) => owned ?? []),
    schemas: rows.map(({ schema }) => schema),
  }
}
