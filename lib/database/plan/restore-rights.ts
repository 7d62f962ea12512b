import type { Warning } from '../../backup/manifest.ts'
import type { Connection } from '../../postgres/connection.ts'
import type { Sequence } from '../catalog/sequences.ts'
import type { Table } from '../catalog/table.ts'
import type { AlteredTable } from '../constraints/read-constraints.ts'
import { isHeldAsText } from '../scratch/schema.ts'

/** How many objects a message names. */
const listed = 10

/**
 * What a restore of the whole backup would be refused for because of tables that a reset keeps: the backup holds them, so
 * its restore replaces them, too. By the catalog alone, for they are at work.
 */
export async function warnOfKept(
  connection: Connection,
  { tables, sequences }: { tables: readonly Table[]; sequences: readonly Sequence[] },
): Promise<Warning[]> {
  const role = await roleOf(connection)
  const owner = (names: readonly string[]) =>
    `the database role does not own ${named(names)} (make ${role} the owner, or a member of the role that is)`
  const foreign = tables.filter(({ owned, mayTruncate }) => !(owned && mayTruncate)).map(({ name }) => name)
  const stuck = sequences.filter(({ owned }) => !owned).map(({ name }) => name)
  const keys = await lackedByKeys(
    connection,
    tables.filter(({ owned }) => owned),
  )
  const closed = await closedTo(
    connection,
    tables.filter(({ owned }) => owned),
  )
  const uses = await lackedByRows(
    connection,
    tables.filter(({ owned }) => owned),
  )
  const reasons = [
    ...(foreign.length > 0 ? [owner(foreign)] : []),
    ...(closed.length > 0
      ? [`the role may put no rows into ${named(closed)} (GRANT INSERT to ${role})`]
      : []),
    ...(stuck.length > 0 ? [owner(stuck.map((name) => `the sequence ${name}`))] : []),
    ...(keys === null ? [] : [keys]),
    ...(uses === null ? [] : [uses]),
  ]
  if (reasons.length === 0) return []
  const message = `The tables that are kept are in the backup as well, and its restore, which replaces all that it holds, would be refused as things are: ${reasons.join('; ')}. Grant it before you need the backup; what is named in EXCLUDE_TABLES is in no backup, and its restore needs no rights there`
  return [{ code: 'NotRestorable', message }]
}

/** @returns what the role lacks to drop the foreign keys from and to these tables, and to add them again; null: nothing */
export async function lackedByKeys(
  connection: Connection,
  tables: readonly AlteredTable[],
): Promise<string | null> {
  const answer = await connection.query(
    `SELECT k.conname AS name, format('%I.%I', fn.nspname, f.relname) AS "from", format('%I.%I', tn.nspname, t.relname) AS "to",
       quote_ident(tn.nspname) AS schema, pg_has_role(f.relowner, 'USAGE') AS owned, has_schema_privilege(tn.oid, 'USAGE') AS "mayUse"
     FROM pg_constraint k
     JOIN pg_class f ON f.oid = k.conrelid JOIN pg_namespace fn ON fn.oid = f.relnamespace
     JOIN pg_class t ON t.oid = k.confrelid JOIN pg_namespace tn ON tn.oid = t.relnamespace
     WHERE k.contype = 'f' AND k.conparentid = 0 AND (k.conrelid = ANY($1::oid[]) OR k.confrelid = ANY($1::oid[]))
       AND NOT (pg_has_role(f.relowner, 'USAGE') AND has_schema_privilege(tn.oid, 'USAGE')
         AND (has_table_privilege(t.oid, 'REFERENCES')
           OR NOT EXISTS (SELECT FROM unnest(k.confkey) AS num WHERE NOT has_column_privilege(t.oid, num, 'REFERENCES'))))
     ORDER BY 2, 1`,
    [tables.map(({ oid }) => oid)],
  )
  const [key] = answer.rows
  if (key === undefined) return null
  const role = await roleOf(connection)
  const more = answer.rows.length > 1 ? ` (and ${answer.rows.length - 1} more keys)` : ''
  const what = key.owned
    ? `the role may not refer to ${key.to}. Say ${key.mayUse ? '' : `GRANT USAGE ON SCHEMA ${key.schema} TO ${role}; `}GRANT REFERENCES ON ${key.to} TO ${role}`
    : `${key.from} belongs to another role. Make ${role} its owner or a member of that role`
  return `A restore has to take away the foreign key ${key.name} from ${key.from} to ${key.to}${more} and put it back, and ${what}`
}

/** @returns the tables into which the role may put no rows: the right may have been taken from their owner, too */
export async function closedTo(connection: Connection, tables: readonly AlteredTable[]): Promise<string[]> {
  const found = await connection.query(
    `SELECT c.oid::bigint::float8 AS oid FROM pg_class c
     WHERE c.oid = ANY($1::oid[]) AND c.relkind = 'r' AND NOT has_table_privilege(c.oid, 'INSERT')
       AND (SELECT bool_and(has_column_privilege(c.oid, a.attnum, 'INSERT')) FROM pg_attribute a
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '') IS NOT TRUE`,
    [tables.map(({ oid }) => oid)],
  )
  const closed = new Set(found.rows.map(({ oid }) => oid))
  return tables.filter(({ oid }) => closed.has(oid)).map(({ schema, table }) => `${schema}.${table}`)
}

/**
 * @returns what the role lacks on types and functions of others to copy these tables, and to put rows into them; null: nothing.
 *   Postgres asks for it even of who owns the table
 */
export async function lackedByRows(
  connection: Connection,
  tables: readonly Pick<Table, 'oid' | 'columns'>[],
): Promise<string | null> {
  const copied = tables.flatMap(({ oid, columns }) =>
    columns.filter((column) => !isHeldAsText(column)).map(({ name }) => ({ oid, name })),
  )
  const found = await connection.query(
    `WITH expressions (classid, objid) AS (
       SELECT 'pg_constraint'::regclass, oid FROM pg_constraint WHERE conrelid = ANY($1::oid[]) AND contype = 'c'
       UNION ALL SELECT 'pg_class'::regclass, indexrelid FROM pg_index WHERE indrelid = ANY($1::oid[])
       UNION ALL SELECT 'pg_attrdef'::regclass, d.oid FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
         WHERE d.adrelid = ANY($1::oid[]) AND a.attgenerated = 's')
     SELECT 'USAGE ON TYPE ' || format_type(a.atttypid, NULL) AS right FROM unnest($2::oid[], $3::text[]) AS c (oid, name)
       JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = c.name WHERE NOT has_type_privilege(a.atttypid, 'USAGE')
     UNION SELECT 'EXECUTE ON FUNCTION ' || p.oid::regprocedure FROM expressions JOIN pg_depend d USING (classid, objid)
       JOIN pg_proc p ON p.oid = d.refobjid AND d.refclassid = 'pg_proc'::regclass WHERE NOT has_function_privilege(p.oid, 'EXECUTE')
     ORDER BY 1`,
    [tables.map(({ oid }) => oid), copied.map(({ oid }) => oid), copied.map(({ name }) => name)],
  )
  if (found.rows.length === 0) return null
  const role = await roleOf(connection)
  return `A restore has to copy these tables and to put rows into them, which the role may not. Say ${named(found.rows.map(({ right }) => `GRANT ${right} TO ${role}`))}`
}

export async function roleOf(connection: Connection): Promise<string> {
  const answer = await connection.query('SELECT quote_ident(current_user) AS role')
  return answer.rows[0]?.role
}

export function named(names: readonly string[]): string {
  const more = names.length > listed ? ` and ${names.length - listed} more` : ''
  return `${names.slice(0, listed).join(', ')}${more}`
}
