import * as z from 'zod'
import type { Clients } from '../clients.ts'
import { RunLost, StoreUnavailable } from '../errors.ts'
import { recordViews } from '../ledger/records.ts'
import { checkRunning } from '../ledger/step.ts'
import type { Connection } from '../postgres/connection.ts'
import { databaseError, sqlStateOf } from '../postgres/errors.ts'
import { plainName } from '../postgres/identifiers.ts'
import { withConnection } from '../postgres/with-connection.ts'

/** A materialized view that shows rows of other tables. */
type MaterializedView = {
  name: string
  sql: string
  mayRefresh: boolean
  /** It has what CONCURRENTLY wants: a unique index over columns alone, for all rows. */
  isUnique: boolean
}

/** What became of the materialized views over tables whose rows were wiped or restored. */
export const Refreshed = z.strictObject({
  refreshed: z.array(z.string()),
  stale: z.array(z.strictObject({ name: z.string(), reason: z.string() })),
})
export type Refreshed = z.output<typeof Refreshed>

/** Milliseconds for all of them: the step has other work, and what they show can be refreshed at any time. */
const patience = 240_000

// A view depends on what its rule mentions, a function of SQL with a parsed body on what that mentions. MAINTAIN came with 17.
const dependentsQuery = `
WITH RECURSIVE needs AS (
  SELECT 'pg_class'::regclass::oid AS class, r.ev_class AS id, d.refclassid AS of_class, d.refobjid AS of_id
  FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class AND c.relkind IN ('v', 'm')
  JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
  WHERE d.refclassid IN ('pg_class'::regclass, 'pg_proc'::regclass) AND d.refobjid <> r.ev_class
  UNION SELECT d.classid, d.objid, d.refclassid, d.refobjid FROM pg_depend d
  WHERE d.classid = 'pg_proc'::regclass AND d.refclassid IN ('pg_class'::regclass, 'pg_proc'::regclass)
), changed AS (
  SELECT oid FROM unnest($1::oid[]) AS t(oid)
  UNION SELECT i.inhparent FROM pg_inherits i JOIN changed c ON i.inhrelid = c.oid
), reached AS (
  SELECT 'pg_class'::regclass::oid AS class, oid AS id FROM changed
  UNION SELECT n.class, n.id FROM needs n JOIN reached r ON r.class = n.of_class AND r.id = n.of_id
)
SELECT r.class || '/' || r.id AS key, ${plainName('n.nspname', 'c.relname')} AS name,
  quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS sql,
  coalesce(c.relkind = 'm' AND c.relispopulated, false) AS "isShown",
  pg_has_role(c.relowner, 'USAGE') OR CASE WHEN current_setting('server_version_num')::int >= 170000
    THEN has_table_privilege(c.oid, 'MAINTAIN') ELSE false END AS "mayRefresh",
  EXISTS (SELECT FROM pg_index x WHERE x.indrelid = c.oid AND x.indisunique AND x.indimmediate AND x.indisvalid
    AND x.indpred IS NULL AND x.indexprs IS NULL) AS "isUnique",
  (SELECT coalesce(json_agg(e.of_class || '/' || e.of_id), '[]') FROM needs e WHERE e.class = r.class AND e.id = r.id) AS needs
FROM reached r
LEFT JOIN pg_class c ON r.class = 'pg_class'::regclass AND c.oid = r.id LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
ORDER BY 2`

/**
 * The populated materialized views of any schema that show rows of `tables`, also through views, other materialized views
 * and SQL functions with a parsed body; each comes after those it depends on.
 */
export async function viewsOver(
  connection: Connection,
  tables: readonly { oid: number }[],
): Promise<MaterializedView[]> {
  const answer = await connection.query(dependentsQuery, [tables.map(({ oid }) => oid)])
  const nodes = new Map(answer.rows.map((row) => [row.key, row]))
  const views: MaterializedView[] = []
  const seen = new Set<string>()
  const visit = (key: string) => {
    const node = nodes.get(key)
    if (node === undefined || seen.has(key)) return
    seen.add(key)
    for (const needed of node.needs) visit(needed)
    if (node.isShown) views.push(viewOf(node))
  }
  for (const key of nodes.keys()) visit(key)
  return views
}

function viewOf({ name, sql, mayRefresh, isUnique }: MaterializedView): MaterializedView {
  return { name, sql, mayRefresh, isUnique }
}

/**
 * Refreshes the materialized views over `tables`, after the transaction that changed these: a query that fails or takes
 * long must neither undo it nor keep its locks. Each is made as the role sees values, not under the settings of a backup.
 * What fails is told with the reason, and fails no step. The result goes into the run's record of the wipe or the restore.
 * @param planned the names of those that were there when the run was planned
 * @throws RunLost
 * @see docs/decisions.md#materialized-views-are-refreshed-after-the-commit
 */
export async function refreshViews(
  clients: Clients,
  asked: { runId: string; tables: readonly { oid: number }[]; planned: readonly string[] },
): Promise<Refreshed> {
  const refreshed = await tryAll(clients, asked)
  await withConnection(clients, (connection) => recordViews(connection, asked.runId, refreshed))
  return refreshed
}

async function tryAll(
  clients: Clients,
  { runId, tables, planned }: Parameters<typeof refreshViews>[1],
): Promise<Refreshed> {
  try {
    return await withConnection(clients, async (connection) =>
      refreshEach(clients, connection, { runId, views: await viewsOver(connection, tables) }),
    )
  } catch (error) {
    if (error instanceof RunLost) throw error
    const reason = whyStale(databaseError(error), clients.config.LOCK_TIMEOUT_MS)
    return { refreshed: [], stale: planned.map((name) => ({ name, reason })) }
  }
}

async function refreshEach(
  clients: Clients,
  connection: Connection,
  { runId, views }: { runId: string; views: readonly MaterializedView[] },
): Promise<Refreshed> {
  const { LOCK_TIMEOUT_MS } = clients.config
  const end = clients.now().getTime() + patience
  const result: Refreshed = { refreshed: [], stale: [] }
  if (views.length === 0) return result
  await connection.query(
    `RESET ALL; SET default_transaction_read_only = off; SET client_min_messages = warning; SET lock_timeout = ${LOCK_TIMEOUT_MS}`,
  )
  for (const view of views) {
    const { name } = view
    try {
      await checkRunning(connection, runId)
      await connection.query(`SET statement_timeout = ${Math.max(1, end - clients.now().getTime())}`)
      await refresh(connection, view)
      result.refreshed.push(name)
    } catch (cause) {
      const error = databaseError(cause)
      if (error instanceof RunLost) throw error
      result.stale.push({ name, reason: whyStale(error, LOCK_TIMEOUT_MS) })
    }
  }
  return result
}

/**
 * So that the application reads on meanwhile, where the view has what that needs. It needs a temporary table, too, and
 * operators that not every type has: what refuses it is tried the other way.
 */
async function refresh(connection: Connection, { sql, isUnique }: MaterializedView): Promise<void> {
  if (isUnique) {
    try {
      await connection.query(`REFRESH MATERIALIZED VIEW CONCURRENTLY ${sql}`)
      return
    } catch (error) {
      // Nothing more is to be had of one that waited, was stopped or has lost its connection.
      if (!/^(0A|2[1-3]|42)/.test(sqlStateOf(error) ?? '')) throw error
    }
  }
  await connection.query(`REFRESH MATERIALIZED VIEW ${sql}`)
}

/** Not Postgres' message, which may hold a value of a row. */
function whyStale(error: unknown, lockTimeoutMs: number): string {
  if (error instanceof StoreUnavailable) return 'the connection to the database broke'
  const state = sqlStateOf(error) ?? (error instanceof Error ? sqlStateOf(error.cause) : undefined)
  if (state === '42501') return 'the role neither owns it nor may refresh it'
  if (state === '55P03') return `it was locked for ${lockTimeoutMs} ms`
  if (state === '57014') return `there was no time left of ${patience / 1000} s for all of them`
  return `its query fails, SQLSTATE ${state ?? 'unknown'}`
}
