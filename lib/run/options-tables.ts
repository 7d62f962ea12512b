import type { Clients } from '../clients.ts'
import { type Catalog, readCatalog } from '../database/catalog.ts'
import { countTables } from '../database/count.ts'
import { withConnection } from '../database/snapshot.ts'
import { InvalidConfiguration, messageOf, ResetError } from '../errors.ts'
import { models } from '../schema/taskmaster.ts'
import { readEnvironment } from './ledger.ts'
import { type Action, checkPermissions, planDatabase } from './plan.ts'

/** An error as a caller reads it: why a store cannot be asked, or why a plan is refused. */
export type Reason = { name: string; message: string }

export type TableOption = {
  name: string
  /** The TaskMaster model it holds. */
  model: string | null
  /** null when the role may not read the table. */
  rows: number | null
  /** With TOAST, without indexes. */
  bytes: number
  /** What a reset of the database does to it; null when no plan can be made, see `problem`. */
  action: 'wiped' | 'kept' | 'keeps some rows' | null
  keptRows: number
  /** The condition of PRESERVE_ROWS. */
  keepRows: string | null
}

export type DatabaseOption = {
  protected: boolean
  serverVersion: string
  tables: TableOption[]
  unmanaged: { name: string; reason: string }[]
  /** Why a reset of the database would be refused. */
  problem: Reason | null
}

/**
 * The tables with live and exact counts, and what a reset would do to each.
 * @param preserve tables that a request would preserve in addition to the configuration
 */
export async function askDatabase(
  clients: Clients,
  preserve: readonly string[],
): Promise<{ mark: string | undefined } & DatabaseOption> {
  const { config } = clients
  const { row, catalog } = await withConnection(clients, async (connection) => ({
    row: await readEnvironment(connection),
    catalog: await readCatalog(connection, config.DATABASE_SCHEMAS),
  }))
  const plan = planWipe(catalog, clients, preserve)
  const { counts, problem } = await count(clients, plan)
  return {
    mark: row?.name,
    protected: row?.protected ?? false,
    serverVersion: catalog.serverVersion,
    tables: plan.tables.map(({ name, table, bytes, action, keepRows }) => {
      const { rows, keptRows } = counts.get(name) ?? { rows: null, keptRows: 0 }
      const kept = action === 'kept' ? (rows ?? 0) : keptRows
      return { name, model: models[table] ?? null, rows, bytes, action, keptRows: kept, keepRows }
    }),
    unmanaged: plan.unmanaged,
    problem,
  }
}

/** The plan of a reset; when there can be none, all tables without an action, and the reason. */
function planWipe(catalog: Catalog, { config }: Clients, preserve: readonly string[]) {
  try {
    const plan = planDatabase(catalog, {
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
      unmanaged: plan.unmanaged,
      problem: reasonOfThrown(() => checkPermissions(plan, catalog, true)),
    }
  } catch (error) {
    if (!(error instanceof ResetError)) throw error
    const tables = catalog.tables.map((table) => ({ ...table, action: null, keepRows: null }))
    return { tables, unmanaged: catalog.unmanaged, problem: reasonOf(error) }
  }
}

/** A condition of PRESERVE_ROWS that Postgres refuses is a problem of the plan; the tables can still be counted. */
async function count(clients: Clients, { tables, problem }: ReturnType<typeof planWipe>) {
  const readable = tables.filter(({ mayRead }) => mayRead)
  try {
    return { counts: await countTables(clients, readable), problem }
  } catch (error) {
    if (!(error instanceof InvalidConfiguration)) throw error
    const all = readable.map((table) => ({ ...table, keepRows: null }))
    return { counts: await countTables(clients, all), problem: reasonOf(error) }
  }
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

/** Also for what a library threw: a caller reads the reason, whatever it is. */
export function reasonOf(error: unknown): Reason {
  return { name: error instanceof Error ? error.name : 'UnexpectedError', message: messageOf(error) }
}
