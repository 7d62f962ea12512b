import type { Connection } from '../../postgres/connection.ts'

// Those of a partition are made as its own and put below those of its table, which begin without any: so each has its name.
const indexesQuery = `
WITH RECURSIVE mine AS (SELECT oid FROM unnest($1::oid[]) AS t(oid)),
found AS (
  SELECT x.indexrelid AS oid, format('%I.%I', n.nspname, i.relname) AS sql, coalesce(
      (SELECT format('ALTER TABLE ONLY %I.%I ADD CONSTRAINT %I %s', tn.nspname, t.relname, k.conname, pg_get_constraintdef(k.oid)) FROM pg_constraint k
        WHERE k.conindid = x.indexrelid AND k.conrelid = x.indrelid AND k.contype IN ('p', 'u', 'x')),
      pg_get_indexdef(x.indexrelid)) AS statement,
    (SELECT h.inhparent FROM pg_inherits h JOIN pg_index p ON p.indexrelid = h.inhparent JOIN mine m ON m.oid = p.indrelid WHERE h.inhrelid = x.indexrelid) AS parent
  FROM mine JOIN pg_class t ON t.oid = mine.oid JOIN pg_namespace tn ON tn.oid = t.relnamespace
  JOIN pg_index x ON x.indrelid = t.oid JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_namespace n ON n.oid = i.relnamespace
  WHERE x.indisvalid OR t.relkind = 'p'
),
depths AS (
  SELECT oid, 0 AS depth FROM found WHERE parent IS NULL
  UNION ALL SELECT f.oid, d.depth + 1 FROM found f JOIN depths d ON d.oid = f.parent
)
SELECT f.statement, 'ALTER INDEX ' || p.sql || ' ATTACH PARTITION ' || f.sql AS attached
FROM found f JOIN depths d ON d.oid = f.oid LEFT JOIN found p ON p.oid = f.parent ORDER BY d.depth DESC, f.sql`

const keysQuery = `
SELECT CASE WHEN t.oid = ANY($1::oid[]) THEN format('ALTER TABLE %s%I.%I ADD CONSTRAINT %I %s', CASE c.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END,
    n.nspname, c.relname, k.conname, pg_get_constraintdef(k.oid)) END AS statement,
  format('%I of %I.%I', k.conname, n.nspname, c.relname) AS name
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_class t ON t.oid = k.confrelid
WHERE k.contype = 'f' AND k.conparentid = 0 AND k.conrelid = ANY($1::oid[]) ORDER BY n.nspname, c.relname, k.conname`

/** What makes the keys, exclusion constraints and indexes of `tables`; `attached` puts those of partitions below their tables'. */
export async function readIndexes(
  connection: Connection,
  tables: readonly number[],
): Promise<{ statements: string[]; attached: string[] }> {
  const { rows } = await connection.query(indexesQuery, [tables])
  return {
    statements: rows.map(({ statement }) => statement),
    attached: rows.flatMap(({ attached }) => attached ?? []),
  }
}

/** What makes the foreign keys among `tables`; `without` those that refer to others. */
export async function readKeys(
  connection: Connection,
  tables: readonly number[],
): Promise<{ statements: string[]; without: string[] }> {
  const { rows } = await connection.query(keysQuery, [tables])
  return {
    statements: rows.flatMap(({ statement }) => statement ?? []),
    without: rows.flatMap(({ statement, name }) => (statement === null ? name : [])),
  }
}
