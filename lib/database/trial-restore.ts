import type { Warning } from '../backup/manifest.ts'
import type { Connection } from '../clients.ts'
import { NotPermitted } from '../errors.ts'
import { type AlteredTable, constraintChanges } from './constraints.ts'
import { literal, qualified, quote } from './identifiers.ts'
import { isOfTheRows } from './savepoint.ts'
import type { Sequence } from './sequences.ts'
import { sqlStateOf } from './snapshot.ts'

/** Milliseconds that the trial waits for one table: the application waits behind it as long. */
const lockMs = 100

/** How many objects a message names. */
const listed = 10

/**
 * Finds out before a wipe whether the database would let the role do what a restore of these tables needs: by what the
 * catalog says of rights, then by trying each kind of statement on each table, in a transaction of its own that is rolled
 * back. A table that somebody uses is left out: the catalog has been asked about it.
 * @throws NotPermitted naming the object, with the command that grants what is missing
 */
export async function tryRestore(
  connection: Connection,
  { tables, sequences }: { tables: readonly AlteredTable[]; sequences: readonly Sequence[] },
): Promise<void> {
  await checkKeys(connection, tables)
  const foreign = sequences.filter(({ owned }) => !owned)
  if (foreign.length > 0) {
    throw new NotPermitted(
      `The database role does not own the sequences ${named(foreign.map(({ name }) => name))}, so a restore could not set them back. Nothing was touched; make it their owner (ALTER SEQUENCE … OWNER TO …), or a member of the role that is`,
    )
  }
  const scratch = quote('taskmaster_scratch_trial')
  await tryOut(connection, [
    `CREATE SCHEMA ${scratch}`,
    `CREATE UNLOGGED TABLE ${scratch}.t AS SELECT 1 AS i`,
    `CREATE UNIQUE INDEX ON ${scratch}.t (i)`,
    `DROP TABLE ${scratch}.t`,
    `DROP SCHEMA ${scratch}`,
  ])
  const changes = await constraintChanges(connection, tables)
  for (const table of tables) {
    const sql = qualified(table)
    // ONLY: partitions have their own turn. A state that changes nothing is altered all the same, as far as rights go.
    const disable = `ALTER TABLE ONLY ${sql} DISABLE TRIGGER USER`
    await tryOut(connection, [disable, ...(changes.get(table.oid) ?? [])])
  }
  for (const sequence of sequences)
    await tryOut(connection, [`ALTER SEQUENCE ${qualified(sequence)} RESTART`])
}

/** @throws NotPermitted, unless it is only that somebody else is at work there */
async function tryOut(connection: Connection, statements: readonly string[]): Promise<void> {
  try {
    await connection.query(
      [
        'BEGIN',
        `SET LOCAL lock_timeout = ${lockMs}`,
        `SET LOCAL statement_timeout = 5000`,
        ...statements,
      ].join(';\n'),
    )
  } catch (cause) {
    const state = sqlStateOf(cause)
    if (['55P03', '40P01', '57014'].includes(state ?? '')) return
    if (state !== '42501' && !isOfTheRows(cause)) throw cause
    throw await refusedBy(connection, statements, cause)
  } finally {
    await connection.query('ROLLBACK')
  }
}

async function refusedBy(
  connection: Connection,
  statements: readonly string[],
  cause: unknown,
): Promise<NotPermitted> {
  await connection.query('ROLLBACK')
  const found = await connection.query(
    `SELECT evtname AS name FROM pg_event_trigger WHERE evtenabled NOT IN ('D', 'R') ORDER BY 1`,
  )
  const triggers =
    found.rows.length === 0
      ? ''
      : ` The database has the event triggers ${named(found.rows.map(({ name }) => name))}: let them pass the role ${await roleOf(connection)}.`
  return new NotPermitted(
    `The database refuses what a restore would need (SQLSTATE ${sqlStateOf(cause)}), tried and taken back: ${statements.join('; ')}.${triggers} Nothing was touched; allow it, then start again`,
    { cause },
  )
}

/** Keys that could be dropped but not added again, or not dropped at all. */
async function checkKeys(connection: Connection, tables: readonly AlteredTable[]): Promise<void> {
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
  if (key === undefined) return
  const role = await roleOf(connection)
  const more = answer.rows.length > 1 ? ` (and ${answer.rows.length - 1} more keys)` : ''
  const what = key.owned
    ? `the role may not refer to ${key.to}. Say ${key.mayUse ? '' : `GRANT USAGE ON SCHEMA ${key.schema} TO ${role}; `}GRANT REFERENCES ON ${key.to} TO ${role}`
    : `${key.from} belongs to another role. Make ${role} its owner or a member of that role`
  throw new NotPermitted(
    `A restore has to take away the foreign key ${key.name} from ${key.from} to ${key.to}${more} and put it back, and ${what}. Nothing was touched`,
  )
}

/** @returns what could refuse rows of these tables in a restore, and is not tried without a rehearsal */
export async function warnOfUnproved(
  connection: Connection,
  tables: readonly AlteredTable[],
): Promise<Warning[]> {
  const calls = (classOf: string, object: string) =>
    `EXISTS (SELECT FROM pg_depend d WHERE d.classid = ${literal(classOf)}::regclass AND d.objid = ${object}
       AND d.refclassid = 'pg_proc'::regclass AND d.refobjid >= 16384)`
  const found = await connection.query(
    `SELECT 'the index ' || i.indexrelid::regclass AS name FROM pg_index i WHERE i.indrelid = ANY($1::oid[]) AND i.indisready
       AND ((i.indisunique AND NOT i.indisvalid) OR ${calls('pg_class', 'i.indexrelid')})
     UNION ALL
     SELECT format('the generated column %s.%I', a.attrelid::regclass, a.attname) FROM pg_attribute a
       JOIN pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
       WHERE a.attgenerated <> '' AND a.attrelid = ANY($1::oid[]) AND ${calls('pg_attrdef', 'f.oid')}
     ORDER BY 1`,
    [tables.map(({ oid }) => oid)],
  )
  if (found.rows.length === 0) return []
  const message = `Without a rehearsal it is not proved that a restore could put the rows back: ${named(found.rows.map(({ name }) => name))} may refuse or change them`
  return [{ code: 'NotProved', message }]
}

async function roleOf(connection: Connection): Promise<string> {
  const answer = await connection.query('SELECT quote_ident(current_user) AS role')
  return answer.rows[0]?.role
}

function named(names: readonly string[]): string {
  const more = names.length > listed ? ` and ${names.length - listed} more` : ''
  return `${names.slice(0, listed).join(', ')}${more}`
}
