import type { Warning } from '../../backup/manifest.ts'
import { NotPermitted } from '../../errors.ts'
import type { Connection } from '../../postgres/connection.ts'
import { sqlStateOf } from '../../postgres/errors.ts'
import { qualified, quote } from '../../postgres/identifiers.ts'
import type { Sequence } from '../catalog/sequences.ts'
import { type AlteredTable, constraintChanges } from '../constraints/constraints.ts'
import { readRowExpressions } from '../constraints/row-expressions.ts'
import { isOfTheRows } from '../savepoint.ts'
import { closedTo, lackedByKeys, named, roleOf } from './restore-rights.ts'

/** Milliseconds that the trial waits for one table: the application waits behind it as long. */
const lockMs = 100

/**
 * Finds out before a wipe whether the database would let the role do what a restore of these tables needs: by what the
 * catalog says of rights, then by trying each kind of statement on each table, in a transaction of its own that is rolled
 * back. A table that somebody uses is tried once more at the end; about one that is in use then, the catalog has been asked.
 * @returns a warning that names what was not tried, because somebody used it both times
 * @throws NotPermitted naming the object, with the command that grants what is missing
 */
export async function tryRestore(
  connection: Connection,
  { tables, sequences }: { tables: readonly AlteredTable[]; sequences: readonly Sequence[] },
): Promise<Warning[]> {
  const lacked = await lackedByKeys(connection, tables)
  if (lacked !== null) throw new NotPermitted(`${lacked}. Nothing was touched`)
  const closed = await closedTo(connection, tables)
  if (closed.length > 0) {
    throw new NotPermitted(
      `The database role may put no rows into ${named(closed)}, so a restore could not fill ${closed.length === 1 ? 'it' : 'them'}. Nothing was touched; GRANT INSERT ON ${named(closed)} TO ${await roleOf(connection)}`,
    )
  }
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
    `CREATE UNIQUE INDEX i ON ${scratch}.t (i)`,
    `DROP INDEX ${scratch}.i`,
    `DROP TABLE ${scratch}.t`,
    `DROP SCHEMA ${scratch}`,
  ])
  const changes = await constraintChanges(connection, tables)
  const trials = [
    ...tables.map((table) => ({
      name: `${table.schema}.${table.table}`,
      // ONLY: partitions have their own turn. A state that changes nothing is altered all the same, as far as rights go.
      statements: [
        `ALTER TABLE ONLY ${qualified(table)} DISABLE TRIGGER USER`,
        ...(changes.get(table.oid) ?? []),
      ],
    })),
    ...sequences.map((sequence) => ({
      name: sequence.name,
      statements: [`ALTER SEQUENCE ${qualified(sequence)} RESTART`],
    })),
  ]
  const busy: typeof trials = []
  for (const trial of trials) if (!(await tryOut(connection, trial.statements))) busy.push(trial)
  const untried: string[] = []
  for (const { name, statements } of busy) if (!(await tryOut(connection, statements))) untried.push(name)
  if (untried.length === 0) return []
  const message = `What a restore needs of ${named(untried)} was not tried, because somebody used them for longer than ${lockMs} ms: that the database role has the rights, the catalog says; whether an event trigger is against it is not proved`
  return [{ code: 'NotProved', message }]
}

/** @returns false when somebody else is at work there. @throws NotPermitted */
async function tryOut(connection: Connection, statements: readonly string[]): Promise<boolean> {
  try {
    await connection.query(
      [
        'BEGIN',
        `SET LOCAL lock_timeout = ${lockMs}`,
        `SET LOCAL statement_timeout = 5000`,
        ...statements,
      ].join(';\n'),
    )
    return true
  } catch (cause) {
    const state = sqlStateOf(cause)
    if (['55P03', '40P01', '57014'].includes(state ?? '')) return false
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

/** @returns what could refuse rows of these tables in a restore, and is not tried without a rehearsal */
export async function warnOfUnproved(
  connection: Connection,
  tables: readonly AlteredTable[],
): Promise<Warning[]> {
  const invalid = await connection.query(
    `SELECT format('index %s of %s.%s', c.relname, n.nspname, t.relname) AS name FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
     JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace
     WHERE i.indrelid = ANY($1::oid[]) AND i.indisready AND i.indisunique AND NOT i.indisvalid ORDER BY 1`,
    [tables.map(({ oid }) => oid)],
  )
  const expressions = await readRowExpressions(connection, tables)
  const names = [...invalid.rows, ...expressions].map(({ name }) => `the ${name}`)
  if (names.length === 0) return []
  const message = `Without a rehearsal it is not proved that a restore could put the rows back: ${named([...new Set(names)])} may refuse or change them`
  return [{ code: 'NotProved', message }]
}
