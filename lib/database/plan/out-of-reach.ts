import type { Warning } from '../../backup/manifest.ts'
import { destroys, operations, type StoreOperation } from '../../operations.ts'
import type { Connection } from '../../postgres/connection.ts'
import { databaseError, sqlStateOf } from '../../postgres/errors.ts'
import { plainName, qualified } from '../../postgres/identifiers.ts'
import { ownSearchPath } from '../../postgres/search-path.ts'
import type { Catalog } from '../catalog/catalog.ts'
import { ofExtension } from '../catalog/tables.ts'
import { changedIn } from '../schema/plan.ts'
import { viewsOver } from '../views.ts'
import type { TableActions } from './actions/table-actions.ts'

type Reach = {
  catalog: Catalog
  plan: Pick<TableActions, 'tables' | 'restart' | 'outside' | 'unmanaged'>
  operation: StoreOperation
}

/** How many names a message lists. */
const listed = 20

/**
 * What a run on the database does not reach although a person would expect it to, by name: a "succeeded" must not hide it.
 * To be asked outside of a transaction.
 */
export async function warnOfLeftBehind(connection: Connection, reach: Reach): Promise<Warning[]> {
  return [
    ...warning('RowsElsewhere', await rowsElsewhere(connection, reach), (names) =>
      !destroys(reach.operation)
        ? `Not in the backup, because they are not managed: ${names}. Name their schemas in DATABASE_SCHEMAS, or, when that is meant, the tables in EXCLUDE_TABLES`
        : `Rows that are not backed up and stay as they are, because their tables are not managed: ${names}. Name their schemas in DATABASE_SCHEMAS, or, when that is meant, the tables in EXCLUDE_TABLES`,
    ),
    ...warning(
      'ExtensionRows',
      await extensionRows(connection, reach),
      (names) =>
        `Rows in tables that belong to an extension are neither backed up nor changed: ${names}. When that is meant, name the tables in EXCLUDE_TABLES`,
    ),
    ...warning(
      'SequencesNotRestarted',
      sequencesThatGoOn(reach),
      (names) =>
        `Sequences that do not start again: ${names}. One that belongs to a wiped table starts again when it is its own (ALTER SEQUENCE … OWNED BY)`,
    ),
    ...warning(
      'ViewsNotRefreshed',
      await viewsThatStay(connection, reach),
      (names) =>
        `Materialized views that will go on showing rows that are no longer there: ${names}. Let the role own them, or refresh them afterwards (REFRESH MATERIALIZED VIEW)`,
    ),
  ]
}

function warning(code: string, names: readonly string[], say: (names: string) => string): Warning[] {
  if (names.length === 0) return []
  const more = names.length > listed ? ` and ${names.length - listed} more` : ''
  return [{ code, message: say(names.slice(0, listed).join(', ') + more) }]
}

/** Partitions and inheritance children of tables that the run acts on, which hold rows, or hold them on another server. */
async function rowsElsewhere(connection: Connection, reach: Reach): Promise<string[]> {
  // Partitioned tables hold no rows, so that no backup names them; a restore acts on their partitions.
  const above = reach.plan.tables.filter(
    ({ table }) => table.partitioned && operations[reach.operation].changes === 'replaced',
  )
  const acted = new Set([...actedOn(reach), ...above.map(({ table }) => table)].map(({ name }) => name))
  const left: string[] = []
  for (const one of reach.plan.outside) {
    if (!acted.has(one.of)) continue
    const isHolding =
      one.foreign || ((await holdsRows(connection, `ONLY ${qualified(one)}`)) ?? one.pages > 0)
    if (isHolding) left.push(`${one.name} (of ${one.of})`)
  }
  return left
}

/** Milliseconds to wait for a table that somebody locked: whether it holds rows is not worth more. */
const patience = 1_000

/** Whether there is a row; undefined when Postgres does not say: a right is missing, or somebody holds the table. */
async function holdsRows(connection: Connection, from: string): Promise<boolean | undefined> {
  await connection.query(`BEGIN READ ONLY; SET LOCAL lock_timeout = ${patience}; ${ownSearchPath}`)
  try {
    const answer = await connection.query(`SELECT EXISTS (SELECT FROM ${from}) AS found`)
    return answer.rows[0]?.found
  } catch (error) {
    if (/^(42|55|57014)/.test(sqlStateOf(error) ?? '')) return undefined
    throw databaseError(error)
  } finally {
    await connection.query('ROLLBACK')
  }
}

// An extension's script says which rows of its own tables are the user's: pg_extension.extconfig and extcondition.
const extensionTablesQuery = `
SELECT ${plainName('n.nspname', 'c.relname')} AS name, e.extname AS extension,
  quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS sql,
  coalesce(e.extcondition[array_position(e.extconfig, c.oid)], '') AS condition
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
JOIN pg_extension e ON e.oid = d.refobjid
WHERE d.refclassid = 'pg_extension'::regclass AND c.relkind = 'r' AND ${plainName('n.nspname', 'c.relname')} = ANY($1)
ORDER BY 1`

async function extensionRows(connection: Connection, { plan }: Reach): Promise<string[]> {
  const names = plan.unmanaged.filter(({ reason }) => reason === ofExtension).map(({ name }) => name)
  if (names.length === 0) return []
  const tables = await connection.query(extensionTablesQuery, [names])
  const left: string[] = []
  for (const { name, extension, sql, condition } of tables.rows) {
    if ((await holdsRows(connection, `ONLY ${sql} ${condition}`)) ?? true) left.push(`${name} (${extension})`)
  }
  return left
}

/** Those of a reset that a person would expect to start again: of no column, or of columns that are wiped and of others. */
function sequencesThatGoOn({ catalog, plan, operation }: Reach): string[] {
  if (operations[operation].changes !== 'wiped') return []
  const actionOf = new Map(plan.tables.map(({ table, action }) => [table.name, action]))
  const restarted = new Set(plan.restart.map(({ name }) => name))
  return catalog.sequences.flatMap(({ name, usedBy }) => {
    if (restarted.has(name)) return []
    if (usedBy.length === 0) return [`${name} (no column uses it)`]
    const isGone = usedBy.some((user) => ['truncate', 'delete'].includes(actionOf.get(user) ?? 'keep'))
    const keepers = usedBy.filter((user) => ['keep', 'delete rows'].includes(actionOf.get(user) ?? 'keep'))
    return isGone ? [`${name} (${keepers.join(' and ')} keeps its rows, and uses it)`] : []
  })
}

async function viewsThatStay(connection: Connection, reach: Reach): Promise<string[]> {
  if (!destroys(reach.operation)) return []
  const views = await viewsOver(connection, actedOn(reach))
  return views
    .filter(({ mayRefresh }) => !mayRefresh)
    .map(({ name }) => `${name} (the role neither owns it nor may refresh it)`)
}

function actedOn({ plan, operation }: Reach) {
  return destroys(operation) ? changedIn(plan.tables) : plan.tables.map(({ table }) => table)
}
