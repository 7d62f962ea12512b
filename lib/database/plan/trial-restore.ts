import type { Warning } from '../../backup/manifest.ts'
import { NotPermitted } from '../../errors.ts'
import { operations } from '../../operations.ts'
import type { Connection } from '../../postgres/connection.ts'
import { sqlStateOf } from '../../postgres/errors.ts'
import { qualified, quote } from '../../postgres/identifiers.ts'
import type { Planning } from '../../store.ts'
import { eventTriggers } from '../catalog/event-triggers.ts'
import { type Sequence, sequencesOf } from '../catalog/sequences.ts'
import type { Table } from '../catalog/table.ts'
import { isWritten, readWritten } from '../catalog/written.ts'
import { constraintChanges } from '../constraints/constraints.ts'
import type { AlteredTable } from '../constraints/read-constraints.ts'
import { readRowExpressions } from '../constraints/row-expressions.ts'
import { isOfTheRows } from '../savepoint.ts'
import { changedIn, keptIn } from '../schema/plan.ts'
import type { TableAction } from './actions/table-actions.ts'
import { closedTo, lackedByKeys, lackedByRows, named, roleOf, warnOfKept } from './restore-rights.ts'

/** Milliseconds that the trial waits for one table: the application waits behind it as long. */
const lockMs = 100

/** Of so many trials it is looked what event triggers write: one is asked about each table. */
const heard = 50

/**
 * Tries what the restore of the run's own backup would need: of what the run changes, and of what a reset keeps, for its backup holds that, too.
 * @returns of a restore only what refuses it, and nothing of a reset that takes no backup
 * @throws NotPermitted, as tryRestore
 */
export async function tryWayBack(
  connection: Connection,
  catalog: { sequences: readonly Sequence[] },
  tables: readonly TableAction[],
  { operation, takesBackup }: Pick<Planning, 'operation' | 'takesBackup'>,
): Promise<Warning[]> {
  const wipes = operations[operation].changes === 'wiped'
  const staying = wipes ? keptIn(tables) : []
  const going = changedIn(tables)
  const sequences = sequencesOf(catalog.sequences, going)
  const found = await tryRestore(connection, { tables: going, sequences, kept: staying })
  if (!wipes) return found.filter(({ code }) => code === 'NotRestorable')
  if (!takesBackup) return []
  const theirs = sequencesOf(catalog.sequences, staying).filter((one) => !sequences.includes(one))
  return [...found, ...(await warnOfKept(connection, { tables: staying, sequences: theirs }))]
}

/**
 * Finds out before a wipe whether the database would let the role do what a restore of these tables needs: by what the
 * catalog says of rights, then by trying each kind of statement on each table, in a transaction of its own that is rolled
 * back. A table that somebody uses is tried once more at the end; about one that is in use then, the catalog has been asked.
 * @param kept tables that stay as they are meanwhile
 * @returns warnings that name what was not tried, because somebody used it both times, and tables into which event triggers write
 *   when others are altered
 * @throws NotPermitted naming the object, with the command that grants what is missing
 */
async function tryRestore(
  connection: Connection,
  {
    tables,
    sequences,
    kept,
  }: { tables: readonly Table[]; sequences: readonly Sequence[]; kept: readonly AlteredTable[] },
): Promise<Warning[]> {
  const lacked = (await lackedByKeys(connection, tables)) ?? (await lackedByRows(connection, tables))
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
    `INSERT INTO ${scratch}.t SELECT i + 1 FROM ${scratch}.t`, // default privileges may keep even the owner out
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
  const triggers = await eventTriggers(connection)
  const written = new Set<string>()
  for (const [at, trial] of trials.entries()) {
    const listen = triggers.length > 0 && at < heard ? { tables: [...tables, ...kept], written } : undefined
    if (!(await tryOut(connection, trial.statements, listen))) busy.push(trial)
  }
  const untried: string[] = []
  for (const { name, statements } of busy) if (!(await tryOut(connection, statements))) untried.push(name)
  const warnings = written.size === 0 ? [] : [await warnOfWriting(connection, triggers, [...written])]
  if (untried.length === 0) return warnings
  const message = `What a restore needs of ${named(untried)} was not tried, because somebody used them for longer than ${lockMs} ms: that the database role has the rights, the catalog says; whether an event trigger is against it is not proved`
  return [...warnings, { code: 'NotProved', message }]
}

/** As a log of all changes to the schema does: what is in it then is not what was backed up. */
async function warnOfWriting(
  connection: Connection,
  triggers: readonly string[],
  tables: readonly string[],
): Promise<Warning> {
  const message = `When tables are altered, the event triggers ${named(triggers)} write into ${named(tables)}: a restore would find other rows there than the backup's, and a reset that preserves them that it changes them, and would change nothing. Let them pass the role ${await roleOf(connection)}, or name these tables in EXCLUDE_TABLES`
  return { code: 'NotRestorable', message }
}

/**
 * @param listen names of tables into which code of the application wrote meanwhile are added to `written`
 * @returns false when somebody else is at work there. @throws NotPermitted
 */
async function tryOut(
  connection: Connection,
  statements: readonly string[],
  listen?: { tables: readonly AlteredTable[]; written: Set<string> },
): Promise<boolean> {
  const begin = ['BEGIN', `SET LOCAL lock_timeout = ${lockMs}`, `SET LOCAL statement_timeout = 5000`]
  try {
    if (listen === undefined) {
      await connection.query([...begin, ...statements].join(';\n'))
      return true
    }
    await connection.query(begin.join(';\n'))
    const before = await readWritten(connection, listen.tables)
    await connection.query(statements.join(';\n'))
    const after = await readWritten(connection, listen.tables)
    if (before === null) return true // it cannot be known
    for (const table of listen.tables)
      if (isWritten(table, before, after)) listen.written.add(`${table.schema}.${table.table}`)
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
  const names = await eventTriggers(connection)
  const triggers =
    names.length === 0
      ? ''
      : ` The database has the event triggers ${named(names)}: let them pass the role ${await roleOf(connection)}.`
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
