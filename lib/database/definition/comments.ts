import type { Connection } from '../../postgres/connection.ts'

const commentsQuery = `
WITH relations AS (
  SELECT c.oid, c.relkind, format('%I.%I', n.nspname, c.relname) AS sql FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.oid = ANY($1::oid[]) OR c.oid IN (SELECT x.indexrelid FROM pg_index x WHERE x.indrelid = ANY($1::oid[]) AND x.indisvalid)
    OR c.relkind = 'S' AND (n.nspname, c.relname) IN (SELECT * FROM unnest($2::text[], $3::text[]))
)
SELECT text || format(' IS %L', comment) AS statement FROM (
  SELECT 1 AS part, format('SCHEMA %I', n.nspname) AS text, obj_description(n.oid, 'pg_namespace') AS comment FROM pg_namespace n WHERE n.nspname = ANY($4::text[])
  UNION ALL SELECT 2, format('%s %I.%I', CASE y.typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END, n.nspname, y.typname), obj_description(y.oid, 'pg_type')
    FROM pg_type y JOIN pg_namespace n ON n.oid = y.typnamespace WHERE y.oid = ANY($5::oid[])
  UNION ALL SELECT 3, format('CONSTRAINT %I ON DOMAIN %I.%I', k.conname, n.nspname, y.typname), obj_description(k.oid, 'pg_constraint')
    FROM pg_constraint k JOIN pg_type y ON y.oid = k.contypid JOIN pg_namespace n ON n.oid = y.typnamespace WHERE y.oid = ANY($5::oid[]) AND k.contype = 'c'
  UNION ALL SELECT 4, CASE relkind WHEN 'S' THEN 'SEQUENCE ' WHEN 'i' THEN 'INDEX ' WHEN 'I' THEN 'INDEX ' ELSE 'TABLE ' END || sql, obj_description(oid, 'pg_class')
    FROM relations
  UNION ALL SELECT 5, format('COLUMN %s.%I', r.sql, a.attname), col_description(r.oid, a.attnum)
    FROM relations r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped WHERE r.relkind IN ('r', 'p')
  UNION ALL SELECT 6, format('CONSTRAINT %I ON %s', k.conname, r.sql), obj_description(k.oid, 'pg_constraint')
    FROM relations r JOIN pg_constraint k ON k.conrelid = r.oid WHERE NOT (k.contype = 'f' AND (k.conparentid <> 0 OR k.confrelid <> ALL($1::oid[])))
) AS c WHERE comment IS NOT NULL ORDER BY part, text`

/** What says the comments on what the definition makes. */
export async function readComments(
  connection: Connection,
  made: {
    tables: readonly number[]
    sequences: readonly { schema: string; table: string }[]
    schemas: readonly string[]
    types: readonly number[]
  },
): Promise<string[]> {
  const { tables, sequences, schemas, types } = made
  const named = [sequences.map(({ schema }) => schema), sequences.map(({ table }) => table)]
  const { rows } = await connection.query(commentsQuery, [tables, ...named, schemas, types])
  return rows.map(({ statement }) => `COMMENT ON ${statement}`)
}
