import type { Connection } from '../../postgres/connection.ts'

export type UniqueIndex = {
  name: string
  columns: string[]
  /** By which values of each column are the same, as SQL: its schema need not be on the search path. */
  operators: string[]
  predicate: string | null
}

/** Of plain columns that it compares as the columns' types do; what any other keeps apart is known to it alone. */
const isPlain = `NOT i.indisexclusion AND NOT coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false)
  AND NOT EXISTS (SELECT FROM unnest(i.indkey::int2[], i.indclass::oid[], i.indcollation::oid[]) WITH ORDINALITY AS k(num, class, coll, n)
    LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.num
    WHERE k.n <= i.indnkeyatts
      AND NOT (k.num > 0 AND (SELECT opcdefault FROM pg_opclass WHERE oid = k.class) AND k.coll = a.attcollation))`

/** The unique indexes of these tables by which rows can be asked for their equals without the index, by the tables' oids. */
export async function readUniqueIndexes(
  connection: Connection,
  tables: readonly { oid: number }[],
): Promise<Map<number, UniqueIndex[]>> {
  const answer = await connection.query(
    `SELECT i.indrelid::bigint::float8 AS oid, c.relname AS name, pg_get_expr(i.indpred, i.indrelid) AS predicate,
       json_agg(a.attname ORDER BY k.n) AS columns,
       json_agg('OPERATOR(' || quote_ident(s.nspname) || '.' || o.oprname || ')' ORDER BY k.n) AS operators
     FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
     CROSS JOIN LATERAL unnest(i.indkey::int2[], i.indclass::oid[]) WITH ORDINALITY AS k(num, class, n)
     JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.num
     JOIN pg_opclass f ON f.oid = k.class
     JOIN pg_amop m ON m.amopfamily = f.opcfamily AND m.amoplefttype = f.opcintype AND m.amoprighttype = f.opcintype AND m.amopstrategy = 3
     JOIN pg_operator o ON o.oid = m.amopopr JOIN pg_namespace s ON s.oid = o.oprnamespace
     WHERE i.indrelid = ANY($1::oid[]) AND i.indisready AND i.indisunique AND k.n <= i.indnkeyatts AND ${isPlain}
     GROUP BY i.indexrelid, i.indrelid, c.relname, i.indpred ORDER BY i.indexrelid`,
    [tables.map(({ oid }) => oid)],
  )
  return Map.groupBy(answer.rows, ({ oid }) => oid)
}

/** The tables, by their oids, that have others: whether one of some rows would be refused is told only by all rows together. */
export async function readAskedAsWhole(
  connection: Connection,
  tables: readonly { oid: number }[],
): Promise<Set<number>> {
  const answer = await connection.query(
    `SELECT DISTINCT i.indrelid::bigint::float8 AS oid FROM pg_index i
     WHERE i.indrelid = ANY($1::oid[]) AND i.indisready AND (i.indisunique OR i.indisexclusion) AND NOT (${isPlain})`,
    [tables.map(({ oid }) => oid)],
  )
  return new Set(answer.rows.map(({ oid }) => oid))
}
