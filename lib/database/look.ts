import type { Clients } from '../clients.ts'
import { DatabaseBusy, InvalidConfiguration, ResetError } from '../errors.ts'
import { readEnvironment } from '../ledger/environment.ts'
import { databaseError } from '../postgres/errors.ts'
import { withConnection } from '../postgres/with-connection.ts'
import { type Reason, reasonOf } from '../store/reason.ts'
import type { Extent, Look } from '../store.ts'
import { type Catalog, readCatalog } from './catalog/catalog.ts'
import { checkPermissions } from './plan/actions/permissions.ts'
import { chooseActions } from './plan/actions/table-actions.ts'
import { warnOfLeftBehind } from './plan/out-of-reach.ts'
import { type Count, countTables } from './plan/rows/count.ts'
import {
  type CountLimits,
  estimateTables,
  isTooSlow,
  type RowEstimate,
  setLimits,
} from './plan/rows/estimate.ts'
import type { DatabaseOption, TableOption } from './schema/option.ts'
import type { Action } from './schema/plan.ts'
import { models } from './taskmaster.ts'

/** The tables with live counts, exact ones unless there are limits, and what a reset would do to each. */
export const lookAtDatabase: Look<DatabaseOption> = async (clients, { preserve, limits: bounds }) => {
  const limits = bounds && { bytes: bounds.bytes, milliseconds: bounds.countMs }
  const { config } = clients
  const { row, catalog, plan } = await withConnection(clients, async (connection) => {
    if (limits !== null) await setLimits(connection, limits)
    const row = await readEnvironment(connection)
    const catalog = await readCatalog(connection, config.DATABASE_SCHEMAS)
    const { whole, ...plan } = planWipe(catalog, clients, preserve.tables)
    const asked = whole && { catalog, plan: whole, operation: 'reset' as const }
    return {
      row,
      catalog,
      plan: { ...plan, warnings: asked ? await warnOfLeftBehind(connection, asked) : [] },
    }
  }).catch((error: unknown) => {
    if (!isTooSlow(error)) throw databaseError(error)
    throw new DatabaseBusy('The database took too long to list its tables. Ask again in a moment', {
      cause: error,
    })
  })
  const { counts, problem } = await count(clients, plan, limits)
  const found: DatabaseOption = {
    protected: row?.protected ?? false,
    serverVersion: catalog.serverVersion,
    estimated: [...counts.values()].some(({ estimated }) => estimated),
    tables: plan.tables.map(({ name, table, bytes, action, keepRows }) => {
      const { rows, keptRows, estimated } = counts.get(name) ?? unread
      const kept = action === 'kept' ? (rows ?? 0) : keptRows
      return { name, label: models[table] ?? null, rows, estimated, bytes, action, keptRows: kept, keepRows }
    }),
    unmanaged: plan.unmanaged,
    warnings: plan.warnings,
    problem,
  }
  return { mark: row?.name, found }
}

/** The plan of a reset; when there can be none, all tables without an action, and the reason. */
function planWipe(catalog: Catalog, { config }: Clients, preserve: readonly string[]) {
  try {
    const plan = chooseActions(catalog, {
      tables: [...config.PRESERVE_TABLES, ...preserve],
      rows: config.PRESERVE_ROWS,
      excluded: config.EXCLUDE_TABLES,
    })
    const tables = plan.tables.map(({ table, action, keepRows }) => ({
      ...table,
      action: words[action],
      keepRows,
    }))
    return {
      tables,
      whole: plan,
      unmanaged: plan.unmanaged,
      problem: reasonOfThrown(() => checkPermissions(plan, catalog, true)),
    }
  } catch (error) {
    if (!(error instanceof ResetError)) throw error
    const tables = catalog.tables.map((table) => ({ ...table, action: null, keepRows: null }))
    return { tables, whole: null, unmanaged: catalog.unmanaged, problem: reasonOf(error) }
  }
}

/** A condition of PRESERVE_ROWS that Postgres refuses is a problem of the plan; the tables can still be counted. */
async function count(
  clients: Clients,
  { tables, problem }: Pick<ReturnType<typeof planWipe>, 'tables' | 'problem'>,
  limits: CountLimits | null,
): Promise<{ counts: Map<string, RowEstimate>; problem: Reason | null }> {
  const readable = tables.filter(({ mayRead }) => mayRead)
  const countAll = async (all: typeof readable) =>
    limits === null ? exactly(await countTables(clients, all)) : estimateTables(clients, all, limits)
  try {
    return { counts: await countAll(readable), problem }
  } catch (error) {
    if (!(error instanceof InvalidConfiguration)) throw error
    const all = readable.map((table) => ({ ...table, keepRows: null }))
    return { counts: await countAll(all), problem: reasonOf(error) }
  }
}

/** A table that the role may not read. */
const unread = { rows: null, keptRows: 0, estimated: false }

function exactly(counts: Map<string, Count>): Map<string, RowEstimate> {
  return new Map([...counts].map(([name, count]) => [name, { ...count, estimated: false }]))
}

const words: Record<Action, Exclude<TableOption['action'], null>> = {
  truncate: 'wiped',
  delete: 'wiped',
  'delete rows': 'keeps some rows',
  keep: 'kept',
}

function reasonOfThrown(check: () => void): Reason | null {
  try {
    check()
    return null
  } catch (error) {
    if (error instanceof ResetError) return reasonOf(error)
    throw error
  }
}

/** All that is managed of the database, as a sentence says it. */
export const databaseExtent: Extent = ({ DATABASE_SCHEMAS }) => `the tables of ${DATABASE_SCHEMAS.join(', ')}`
