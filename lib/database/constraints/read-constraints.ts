import type { Connection } from '../../postgres/connection.ts'
import { leavesOf } from './broken-keys.ts'

export type AlteredTable = { schema: string; table: string; oid: number }

export type ConstraintRow = {
  oid: number
  kind: 'c' | 'f' | 'n'
  schema: string
  table: string
  sql: string
  name: string
  definition: string
  comment: string | null
  validated: boolean
  enforced: boolean
  /** Declared by the table, and inherited as well: it goes after its parent's. */
  merged: boolean
  /** Only inherited: it goes and comes with its parent's. */
  inherited: boolean
  parentValidated: boolean
  partitioned: boolean
  /** Its rows are those of the backup afterwards. */
  replaced: boolean
  /** Since version 18 a key of a partitioned table may be, and VALIDATE reaches what one has for each partition that it refers to. */
  mayBeNotValid: boolean
  toPartitioned: boolean
  /** Of a foreign key: the oids of the tables with its rows, and with those that it refers to; and what that is called. */
  referencing: number[]
  referenced: number[]
  to: string
}

/** In the order in which they can be dropped: what a child table declares itself goes after what it inherits. */
export async function readConstraints(
  connection: Connection,
  tables: readonly AlteredTable[],
): Promise<ConstraintRow[]> {
  const answer = await connection.query(
    `WITH RECURSIVE replaced AS (SELECT oid FROM unnest($1::oid[]) AS t(oid)),
     up AS (
       SELECT oid, oid AS above FROM replaced
       UNION SELECT up.oid, i.inhparent FROM up JOIN pg_inherits i ON i.inhrelid = up.above
     ),
     affected AS (SELECT DISTINCT above AS oid FROM up),
     down AS (SELECT oid FROM affected UNION SELECT i.inhrelid FROM down JOIN pg_inherits i ON i.inhparent = down.oid),
     lineage AS (
       SELECT oid, oid AS above FROM down
       UNION SELECT l.oid, i.inhparent FROM lineage l JOIN pg_inherits i ON i.inhrelid = l.above
     )
     SELECT k.conrelid::bigint::float8 AS oid, k.contype AS kind, k.coninhcount > 0 AS merged, n.nspname AS schema, c.relname AS "table", k.conrelid::regclass::text AS sql, k.conname AS name,
       pg_get_constraintdef(k.oid) AS definition, obj_description(k.oid, 'pg_constraint') AS comment,
       k.convalidated AS validated, coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true) AS enforced,
       NOT k.conislocal AS inherited, NOT EXISTS (
         SELECT FROM pg_inherits i JOIN pg_constraint p ON p.conrelid = i.inhparent AND p.conname = k.conname AND p.contype = k.contype
         WHERE i.inhrelid = k.conrelid AND NOT p.convalidated) AS "parentValidated",
       c.relkind = 'p' AS partitioned, k.conrelid IN (SELECT oid FROM affected) AS replaced,
       current_setting('server_version_num')::int >= 180000 AS "mayBeNotValid",
       ${leavesOf('k.conrelid', 'c.relkind')} AS referencing, ${leavesOf('k.confrelid', 't.relkind')} AS referenced,
       coalesce(t.relkind = 'p', false) AS "toPartitioned", coalesce(tn.nspname || '.' || t.relname, '') AS "to"
     FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     LEFT JOIN pg_class t ON t.oid = k.confrelid LEFT JOIN pg_namespace tn ON tn.oid = t.relnamespace
     WHERE (k.contype = 'f' AND k.conparentid = 0
         AND (k.conrelid IN (SELECT oid FROM affected) OR k.confrelid IN (SELECT oid FROM affected)))
       -- a child's own declaration may be merged with the inherited one
       OR (k.contype IN ('c', 'n') AND (k.contype = 'c' OR NOT k.convalidated) AND k.conislocal
         AND k.conrelid IN (SELECT oid FROM affected)
         AND NOT (k.connoinherit AND k.conrelid NOT IN (SELECT oid FROM replaced)))
       OR (k.contype = 'c' AND k.convalidated AND NOT k.conislocal AND k.conrelid IN (SELECT oid FROM down))
       -- NOT NULL comes back to a child as its parent has it, also where the child's own was valid
       OR (k.contype = 'n' AND k.convalidated AND NOT k.conislocal AND k.conrelid IN (SELECT oid FROM down) AND EXISTS (
         SELECT FROM pg_inherits i JOIN pg_constraint p ON p.conrelid = i.inhparent AND p.conname = k.conname AND p.contype = 'n'
         WHERE i.inhrelid = k.conrelid AND NOT p.convalidated))
     ORDER BY (SELECT count(*) FROM lineage l WHERE l.oid = k.conrelid), k.oid`,
    [tables.map(({ oid }) => oid)],
  )
  return answer.rows
}
