import type { Connection } from '../../postgres/connection.ts'

/** The columns of each table's primary key, by the table's oid; one that has none is not among them. */
export async function readPrimaryKeys(
  connection: Connection,
  oids: readonly number[],
): Promise<Map<number, string[]>> {
  const found = await connection.query(
    `SELECT k.conrelid::int8::text AS oid, json_agg(a.attname ORDER BY a.attnum) AS columns
     FROM pg_catalog.pg_constraint AS k JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)
     WHERE k.contype = 'p' AND k.conrelid = ANY ($1::oid[]) GROUP BY k.conrelid`,
    [oids],
  )
  return new Map(found.rows.map(({ oid, columns }) => [Number(oid), columns]))
}
