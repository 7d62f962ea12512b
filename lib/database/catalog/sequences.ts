import type { BackedUpSequence } from '../../backup/sections/database.ts'
import { BackupIsStale } from '../../errors.ts'
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
): Promise<BackedUpSequence[]> {
  const positions: BackedUpSequence[] = []
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

/**
 * Lets sequences start again; undone when the transaction is. Only a sequence that was restarted keeps its name from then on, so it is
 * asked afterwards whether these are the ones that had the names when the catalog was read.
 * @throws BackupIsStale
 * @see docs/decisions.md#sequences-restart-one-by-one
 */
export async function restartSequences(
  connection: Connection,
  sequences: readonly { schema: string; table: string }[],
): Promise<void> {
  if (sequences.length === 0) return
  const names = sequences.map(qualified)
  await connection.query(names.map((name) => `ALTER SEQUENCE ${name} RESTART`).join(';\n'))
  // The transaction's snapshot has the names of before; what a text is as a regclass is read from the catalog as it is now.
  const others = await connection.query(
    `SELECT s.name FROM unnest($1::text[], $2::text[], $3::text[]) AS s (name, schema, sequence)
     LEFT JOIN (pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace) ON n.nspname = s.schema AND c.relname = s.sequence
     WHERE c.oid IS DISTINCT FROM s.name::regclass`,
    [names, sequences.map(({ schema }) => schema), sequences.map(({ table }) => table)],
  )
  if (others.rows.length > 0) throw replaced(others.rows[0]?.name)
}

function replaced(name: string): BackupIsStale {
  return new BackupIsStale(
    `The sequence ${name} was replaced, or it or its schema renamed, while it was to be set. Nothing was changed; run again when the migration is done`,
  )
}

/**
 * Puts sequences where they stood; undone when the transaction is. Of setval that is true only in a file that the transaction
 * made, and so it is said of the very sequence that was restarted: its name may be another's by then.
 * @throws BackupIsStale
 */
export async function placeSequences(
  connection: Connection,
  positions: readonly BackedUpSequence[],
): Promise<void> {
  const sequences = positions.map(({ schema, sequence }) => ({ schema, table: sequence }))
  const found = await connection.query(
    `SELECT c.oid::text AS oid, c.relfilenode::text AS file FROM unnest($1::text[]) WITH ORDINALITY AS s(name, at)
     JOIN pg_class c ON c.oid = s.name::regclass ORDER BY s.at`,
    [sequences.map(qualified)],
  )
  await restartSequences(connection, sequences)
  for (const [at, { name, lastValue, isCalled }] of positions.entries()) {
    const { oid, file } = found.rows[at]
    const { rowCount } = await connection.query(
      'SELECT setval(oid::regclass, $3::bigint, $4) FROM pg_class WHERE oid = $1::oid AND relfilenode <> $2::oid',
      [oid, file, lastValue, isCalled],
    )
    if (rowCount !== 1) throw replaced(name)
  }
}
