import type { z } from 'zod'
import type { BackedUpSequence } from '../backup/manifest.ts'
import type { Connection } from '../clients.ts'
import { qualified } from './identifiers.ts'

/** A sequence of the managed schemas, or one that a table there uses; `usedBy` are tables as `schema.table`. */
export type Sequence = { name: string; schema: string; table: string; usedBy: string[]; owned: boolean }

// A column uses a sequence by owning it (serial, identity) or by naming it in its default.
const sequencesQuery = `
SELECT n.nspname AS schema, s.relname AS "table", pg_has_role(s.relowner, 'USAGE') AS owned,
  coalesce(json_agg(DISTINCT u.name) FILTER (WHERE u.name IS NOT NULL), '[]') AS used_by
FROM pg_class s JOIN pg_namespace n ON n.oid = s.relnamespace
LEFT JOIN (
  SELECT d.objid AS sequence, tn.nspname || '.' || t.relname AS name, tn.nspname AS schema
  FROM pg_depend d JOIN pg_class t ON t.oid = d.refobjid JOIN pg_namespace tn ON tn.oid = t.relnamespace
  WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
  UNION
  SELECT d.refobjid, tn.nspname || '.' || t.relname, tn.nspname
  FROM pg_depend d JOIN pg_attrdef f ON f.oid = d.objid
  JOIN pg_class t ON t.oid = f.adrelid JOIN pg_namespace tn ON tn.oid = t.relnamespace
  WHERE d.classid = 'pg_attrdef'::regclass AND d.refclassid = 'pg_class'::regclass
) u ON u.sequence = s.oid
WHERE s.relkind = 'S' AND s.relpersistence <> 't'
GROUP BY 1, 2, 3, s.oid HAVING n.nspname = ANY($1) OR bool_or(u.schema = ANY($1)) ORDER BY 1, 2`

export async function readSequences(connection: Connection, schemas: readonly string[]): Promise<Sequence[]> {
  const answer = await connection.query(sequencesQuery, [schemas])
  return answer.rows.map((row) => ({
    name: `${row.schema}.${row.table}`,
    schema: row.schema,
    table: row.table,
    usedBy: row.used_by,
    owned: row.owned,
  }))
}

/** Where each sequence stands. Sequences are outside transactions: read them after the rows' snapshot was taken. */
export async function readPositions(
  connection: Connection,
  schemas: readonly string[],
): Promise<z.output<typeof BackedUpSequence>[]> {
  const sequences = await readSequences(connection, schemas)
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

/** Lets sequences start again; undone when the transaction is. */
export async function restartSequences(
  connection: Connection,
  sequences: readonly { schema: string; table: string }[],
): Promise<void> {
  for (const sequence of sequences) await connection.query(`ALTER SEQUENCE ${qualified(sequence)} RESTART`)
}
