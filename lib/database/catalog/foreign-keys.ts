import type { Connection } from '../../postgres/connection.ts'
import { plainName } from '../../postgres/identifiers.ts'

export type ForeignKey = {
  name: string
  from: string
  fromOid: number
  to: string
  /** The same as SQL writes it. */
  fromSql: string
  /** What to write after FROM for the rows that reference, and for those that are referenced: all partitions, no inheritance children. */
  fromRows: string
  toRows: string
  /** One that Postgres made for a partition, from the one of the table above it. */
  derived: boolean
  /** Each row keeps it; else only those that are written from now on, or none. */
  validated: boolean
  /** Columns of `from`, and those of `to` they point at, in the same order. */
  columns: string[]
  referenced: string[]
  /** The equality operator of each pair, as SQL for `referenced OPERATOR column`: `=` may mean another one. */
  operators: string[]
  /** What happens to the referencing row: 'a' no action, 'r' restrict, 'c' cascade, 'n' set null, 'd' set default. */
  onDelete: string
  /** MATCH FULL: a row that has only some of its columns refers to nothing, and so does not keep it. */
  full: boolean
}

const rowsOf = (relation: string, schema: string) =>
  `CASE ${relation}.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END || quote_ident(${schema}.nspname) || '.' || quote_ident(${relation}.relname)`

const foreignKeysQuery = `
SELECT k.conname AS name, ${plainName('fn.nspname', 'f.relname')} AS "from", ${plainName('tn.nspname', 't.relname')} AS "to",
  k.conrelid::bigint::float8 AS "fromOid", k.confdeltype AS "onDelete", k.confmatchtype = 'f' AS "full", quote_ident(fn.nspname) || '.' || quote_ident(f.relname) AS "fromSql",
  ${rowsOf('f', 'fn')} AS "fromRows", ${rowsOf('t', 'tn')} AS "toRows", k.conparentid <> 0 AS derived,
  k.convalidated AND coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true) AS validated,
  (SELECT json_agg(a.attname ORDER BY o.n) FROM unnest(k.conkey) WITH ORDINALITY o(num, n)
    JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = o.num) AS columns,
  (SELECT json_agg(a.attname ORDER BY o.n) FROM unnest(k.confkey) WITH ORDINALITY o(num, n)
    JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = o.num) AS referenced,
  (SELECT json_agg('OPERATOR(' || quote_ident(opn.nspname) || '.' || op.oprname || ')' ORDER BY o.n)
    FROM unnest(k.conpfeqop) WITH ORDINALITY o(id, n)
    JOIN pg_operator op ON op.oid = o.id JOIN pg_namespace opn ON opn.oid = op.oprnamespace) AS operators
FROM pg_constraint k
JOIN pg_class f ON f.oid = k.conrelid JOIN pg_namespace fn ON fn.oid = f.relnamespace
JOIN pg_class t ON t.oid = k.confrelid JOIN pg_namespace tn ON tn.oid = t.relnamespace
WHERE k.contype = 'f' ORDER BY 2, 3, 1`

/** Those of the whole database. */
export async function readForeignKeys(connection: Connection): Promise<ForeignKey[]> {
  return (await connection.query(foreignKeysQuery)).rows
}
