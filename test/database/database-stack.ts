import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { afterAll, beforeAll, onTestFinished } from 'vitest'
import { getJson } from '../../lib/backup/documents/read.ts'
import { putJson } from '../../lib/backup/documents/write.ts'
import { lastAttempt } from '../../lib/backup/late.ts'
import { backupKeys, workKeys } from '../../lib/backup/layout.ts'
import { Late, Manifest } from '../../lib/backup/manifest.ts'
import { readPartLines } from '../../lib/backup/part/read.ts'
import type { BackedUpTable } from '../../lib/backup/sections/database.ts'
import { mergeLate } from '../../lib/backup/sections/merge-tables.ts'
import type { Clients } from '../../lib/clients.ts'
import type { Config } from '../../lib/config/variables.ts'
import { type Catalog, readCatalog } from '../../lib/database/catalog/catalog.ts'
import { DatabaseBatch } from '../../lib/database/export/batch.ts'
import { exportDatabase } from '../../lib/database/export/export.ts'
import { reconcileBatches } from '../../lib/database/export/reconcile-batches.ts'
import type { Shard } from '../../lib/database/parts/shards.ts'
import type { Preservation } from '../../lib/database/plan/actions/table-actions.ts'
import { readNoted } from '../../lib/ledger/documents.ts'
import { withConnection } from '../../lib/postgres/with-connection.ts'
import { countAll } from '../../lib/run/count.ts'
import { databaseOf, type Plan, readPlan } from '../../lib/run/planning/plan.ts'
import { seal } from '../../lib/run/seal.ts'
import type { Bucket } from '../../lib/s3/bucket.ts'
import { listSizes } from '../../lib/s3/list.ts'
import { currentClients } from '../../lib/task.ts'
import { type FreshStack, freshStack } from '../support/stack.ts'

export const noProgress = async () => {}

/** A database, a bucket and a ledger, without the state machine; tables are made and looked at past the product. */
export function useDatabase() {
  const database = {} as FreshStack & { clients: Clients; storage: Bucket }
  beforeAll(async () => {
    const stack = await freshStack({
      definition: { StartAt: 'Done', States: { Done: { Type: 'Succeed' } } },
      loadFunctions: async () => ({}),
    })
    const clients = await currentClients()
    const storage = clients.backups
    await stack.sql.query(`SET lock_timeout = '20s'`)
    Object.assign(database, stack, { clients, storage })
    const request = { operation: 'claim', confirm: clients.config.ENVIRONMENT }
    await countAll(clients, { request, runId: randomUUID(), attempt: 0, startedAt: new Date().toISOString() })
  })
  afterAll(() => database.stop?.())
  return database
}

/** A session past the product, as another user of the database would have it. */
export async function session({ env }: { env: Record<string, string> }, name: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: env.DATABASE_URL ?? '', application_name: name })
  client.on('error', () => {})
  await client.connect()
  onTestFinished(() => client.end()) // a test that fails must not keep its locks
  return client
}

/** How many of the product's sessions wait for a lock. */
export async function waiting({ admin }: { admin: pg.Client }): Promise<number> {
  const answer = await admin.query(
    `SELECT FROM pg_stat_activity
     WHERE application_name = 'taskmaster-reset' AND datname = current_database() AND wait_event_type = 'Lock'`,
  )
  return answer.rowCount ?? 0
}

export function configured(clients: Clients, config: Partial<Config>): Clients {
  return { ...clients, config: { ...clients.config, ...config } }
}

export function catalogOf(clients: Clients): Promise<Catalog> {
  return withConnection(clients, (connection) => readCatalog(connection, clients.config.DATABASE_SCHEMAS))
}

type Wanted = Partial<Preservation> & {
  backup?: boolean
  /** Cuts tables into smaller shards than the product would, and takes nothing over. */
  pagesPerShard?: number
  takeOver?: boolean
}

/** Each run begins in a second of its own: two backups of one second have no order. */
let begun = 0
function nextSecond(): string {
  begun = Math.max(begun + 1000, Date.now())
  return new Date(begun).toISOString()
}

/** The state "Count", for a reset of the database alone. A run that was still active is ended first. */
export async function planReset(clients: Clients, wanted: Wanted = {}): Promise<Plan> {
  const { backup = true, tables = [], rows = {}, excluded = [], pagesPerShard } = wanted
  const { takeOver = pagesPerShard === undefined } = wanted
  await withConnection(clients, (connection) =>
    connection.query(`UPDATE taskmaster_reset.runs SET status = 'failed' WHERE status = 'running'`),
  )
  const run = { runId: randomUUID(), attempt: 0 }
  const { ENVIRONMENT: confirm } = clients.config
  const preserve = { tables }
  await countAll(configured(clients, { PRESERVE_ROWS: rows, EXCLUDE_TABLES: excluded }), {
    request: {
      operation: 'reset',
      strategy: 'database-only',
      backup,
      confirm,
      preserve,
      rehearse: false,
      takeOver,
    },
    startedAt: nextSecond(),
    ...run,
  })
  const storage = clients.backups
  const noted = await withConnection(clients, (connection) => readNoted(connection, run.runId))
  const plan = await readPlan(storage, run, noted)
  if (pagesPerShard !== undefined) {
    const key = workKeys(plan).databaseBatch(0)
    const { batch, shards } = await getJson(storage, key, DatabaseBatch)
    await putJson(storage, key, { batch, shards: shards.flatMap((shard) => cut(shard, pagesPerShard)) })
  }
  return plan
}

/** In place of the one shard that is a small table: shards of a few pages, and one that is open-ended. */
function cut(shard: Shard, pages: number): Shard[] {
  const count = Math.max(1, Math.floor(shard.bytes / 8192 / pages))
  return Array.from({ length: count }, (_, index) => {
    const to = index === count - 1 ? null : (index + 1) * pages
    return { ...shard, shard: index, pages: { from: index * pages, to }, bytes: pages * 8192 }
  })
}

/** The states "Export database", "Reconcile" and "Seal"; `meanwhile` is what happens after each batch. */
export async function backUp(
  clients: Clients,
  plan: Plan,
  meanwhile: () => Promise<void> = noProgress,
): Promise<Manifest> {
  const backupId = plan.backupId!
  for (let batch = 0; batch < (plan.database?.batches ?? 0); batch++) {
    await exportDatabase(clients, { ...databaseOf(plan), backupId, batch }, noProgress)
    await meanwhile()
  }
  if ((plan.database?.batches ?? 0) > 1) await reconcileBatches(clients, { ...databaseOf(plan), backupId })
  await seal(clients, plan, async () => {})
  return (await readBackup(clients, plan.backupId!)).manifest
}

/** A backup as a reader who knows only docs/formats.md finds it: manifest, and the late parts that replace some of its. */
export async function readBackup(clients: Clients, backupId: string) {
  const storage = clients.backups
  const keys = backupKeys(clients.config.BACKUP_PREFIX, backupId)
  const manifest = await getJson(storage, keys.manifest, Manifest)
  const attempt = await lastAttempt(storage, keys)
  const late = attempt === 0 ? null : await getJson(storage, keys.late(attempt), Late)
  const tables = mergeLate(manifest.database?.tables ?? [], late?.tables ?? [])
  return { manifest, late, attempt, tables }
}

/** The lines of a table in a backup, sorted. */
export async function linesOf(clients: Clients, table: BackedUpTable | undefined): Promise<string[]> {
  if (table === undefined) throw new Error('The backup does not hold the table.')
  const storage = clients.backups
  const lines: string[] = []
  for (const { key } of table.parts) {
    if (key === null) continue
    for await (const line of readPartLines(storage, key)) lines.push(line.toString())
  }
  return lines.sort()
}

/** The rows of a table as its lines in a backup must be, sorted; read past the product. */
export async function rowsAsLines(sql: pg.Client, relation: string, columns = 'r.*'): Promise<string[]> {
  await sql.query(pinned)
  const answer = await sql.query(
    `SELECT row_to_json(v.*)::text AS line FROM ONLY ${relation} r CROSS JOIN LATERAL (SELECT ${columns}) v`,
  )
  return answer.rows.map(({ line }) => line).sort()
}

/** The settings under which a backup writes values, as docs/formats.md has them. */
const pinned = `SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; SET extra_float_digits = 1;
  SET bytea_output = 'hex'; SET search_path = 'pg_catalog'`

/** Every key of a backup. */
export async function keysBelow(clients: Clients, { backupId }: Plan): Promise<string[]> {
  const storage = clients.backups
  const keys: string[] = []
  for await (const { key } of listSizes(storage, [backupKeys(clients.config.BACKUP_PREFIX, backupId!).root]))
    keys.push(key)
  return keys
}
