import type * as z from 'zod'
import type { BackedUpSequence } from '../../backup/sections/database.ts'
import type { Connection } from '../../postgres/connection.ts'
import { plainName, qualified } from '../../postgres/identifiers.ts'

/** A sequence of the managed schemas, or one that a table there uses; `usedBy` are tables as `schema.table`. */
export type Sequence = {
  name: string
  schema: string
  table: string
  usedBy: string[]
  owned: boolean
  mayRead: boolean
}

// A column uses a sequence by owning it (serial, identity) or by naming it in its default.
const sequencesQuery = `
SELECT ${plainName('n.nspname', 's.relname')} AS name, n.nspname AS schema, s.relname AS "table",
  pg_has_role(s.relowner, 'USAGE') AS owned,
  has_schema_privilege(n.oid, 'USAGE') AND has_sequence_privilege(s.oid, 'SELECT') AS may_read,
  coalesce(json_agg(DISTINCT u.name) FILTER (WHERE u.name IS NOT NULL), '[]') AS used_by
FROM pg_class s JOIN pg_namespace n ON n.oid = s.relnamespace
LEFT JOIN (
  SELECT d.objid AS sequence, ${plainName('tn.nspname', 't.relname')} AS name, tn.nspname AS schema
  FROM pg_depend d JOIN pg_class t ON t.oid = d.refobjid JOIN pg_namespace tn ON tn.oid = t.relnamespace
  WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
  UNION
  SELECT d.refobjid, ${plainName('tn.nspname', 't.relname')}, tn.nspname
  FROM pg_depend d JOIN pg_attrdef f ON f.oid = d.objid
  JOIN pg_class t ON t.oid = f.adrelid JOIN pg_namespace tn ON tn.oid = t.relnamespace
  WHERE d.classid = 'pg_attrdef'::regclass AND d.refclassid = 'pg_class'::regclass
) u ON u.sequence = s.oid
WHERE s.relkind = 'S' AND s.relpersistence <> 't'
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = s.oid AND d.deptype = 'e')
GROUP BY n.oid, n.nspname, s.oid, s.relname, s.relowner
HAVING n.nspname = ANY($1) OR bool_or(u.schema = ANY($1)) ORDER BY n.nspname, s.relname`

export async function readSequences(connection: Connection, schemas: readonly string[]): Promise<Sequence[]> {
  const answer = await connection.query(sequencesQuery, [schemas])
  return answer.rows.map((row) => ({
    name: row.name,
    schema: row.schema,
    table: row.table,
    usedBy: row.used_by,
    owned: row.owned,
    mayRead: row.may_read,
  }))
}

/** The sequences that a backup of `tables` holds: theirs, and those that no table uses. */
export function sequencesOf(sequences: readonly Sequence[], tables: readonly { name: string }[]): Sequence[] {
  const names = new Set(tables.map(({ name }) => name))
  return sequences.filter(({ usedBy }) => usedBy.length === 0 || usedBy.some((table) => names.has(table)))
}

/** Where each sequence stands. Sequences are outside transactions: read them after the rows' snapshot was taken. */
export async function readPositions(
  connection: Connection,
  sequences: readonly Sequence[],
): Promise<z.output<typeof BackedUpSequence>[]> {
  const positions: z.output<typeof BackedUpSequence>[] = []
  for (let start = 0; start < sequences.length; start += 200) {
    const selects = sequences
      .slice(start, start + 200)
      .map(
        (sequence, index) =>
          `SELECT ${start + index} AS at, last_value::text AS last_value, is_called FROM ${qualified(sequence)}`,
      )
    const answer = await connection.query(selects.join(' UNION ALL '))
    for (const row of answer.rows) {
      const { name, schema, table } = sequences[row.at] as Sequence
      positions.push({ name, schema, sequence: table, lastValue: row.last_value, isCalled: row.is_called })
    }
  }
  return positions
}

/** Lets sequences start again; undone when the transaction is. @see docs/decisions.md#sequences-restart-one-by-one */
export async function restartSequences(
  connection: Connection,
  sequences: readonly { schema: string; table: string }[],
): Promise<void> {
  const statements = sequences.map((sequence) => `ALTER SEQUENCE ${qualified(sequence)} RESTART`)
  if (statements.length > 0) await connection.query(statements.join(';\n'))
}
