import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { getJson } from '../../lib/backup/documents/read.ts'
import { putJson } from '../../lib/backup/documents/write.ts'
import { workKeys } from '../../lib/backup/layout.ts'
import type { Manifest } from '../../lib/backup/manifest.ts'
import type { BackedUpTable } from '../../lib/backup/sections/database.ts'
import type { Clients } from '../../lib/clients.ts'
import { DatabaseBatch } from '../../lib/database/export/batch.ts'
import { exportDatabase } from '../../lib/database/export/export.ts'
import { reconcileBatches } from '../../lib/database/export/reconcile-batches.ts'
import { compareBackup, compareExported, loadExported } from '../../lib/database/load/rehearse.ts'
import { readRestored } from '../../lib/database/load/sources.ts'
import { loadToRestore } from '../../lib/database/load/to-restore.ts'
import type { Shard } from '../../lib/database/parts/shards.ts'
import { restoreDatabase } from '../../lib/database/restore/restore.ts'
import { dropScratch } from '../../lib/database/scratch/drop.ts'
import { readNoted } from '../../lib/ledger/documents.ts'
import { connect } from '../../lib/postgres/connection.ts'
import { qualified, quote } from '../../lib/postgres/identifiers.ts'
import { withConnection } from '../../lib/postgres/with-connection.ts'
import { countAll } from '../../lib/run/count.ts'
import { databaseOf, type Plan, plannedRun, readPlan, restoredBy } from '../../lib/run/planning/plan.ts'
import { seal } from '../../lib/run/seal.ts'
import { linesOf, noProgress, readBackup, rowsAsLines } from './database-stack.ts'

/** The same clients for another database of the server. */
export function inDatabase(clients: Clients, name: string): Clients {
  const config = { ...clients.config, DATABASE_URL: urlOf(clients.config.DATABASE_URL, name) }
  return { ...clients, config, connect: () => connect(config) }
}

export function urlOf(url: string, name: string): string {
  return Object.assign(new URL(url), { pathname: `/${name}` }).href
}

/** Does something by a session of its own, for a database that anybody is connected to cannot be copied. */
export async function inSession<Result>(
  url: string,
  act: (sql: pg.Client) => Promise<Result>,
): Promise<Result> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await act(client)
  } finally {
    await client.end()
  }
}

/** The plan of a run that begins at that moment. Another that was still active is ended first. */
async function plan(clients: Clients, request: object): Promise<Plan> {
  const run = { runId: randomUUID(), attempt: 0 }
  await withConnection(clients, (connection) =>
    connection.query(`UPDATE taskmaster_reset.runs SET status = 'succeeded' WHERE status = 'running'`),
  )
  await countAll(clients, { request, startedAt: clients.now().toISOString(), ...run })
  const noted = await withConnection(clients, (connection) => readNoted(connection, run.runId))
  return readPlan(clients.backups, run, noted)
}

/** How a backup is made. */
export type Night = {
  /** Cuts tables that the backup takes over nothing of into shards of so many pages. */
  pagesPerShard: number
  rehearse: boolean
  /** It is that of a reset, which ends before its wipe. */
  wipes?: boolean
}

/** The states "Count" to "Seal" of a backup of the database, at the clients' time. */
export async function backUpNight(
  clients: Clients,
  { pagesPerShard, rehearse, wipes = false }: Night,
): Promise<Manifest> {
  const of = wipes
    ? { operation: 'reset', confirm: clients.config.ENVIRONMENT, backup: true }
    : { operation: 'backup' }
  const planned = await plan(clients, { ...of, strategy: 'database-only', rehearse })
  const backupId = planned.backupId ?? ''
  const exported = { ...databaseOf(planned), backupId }
  const batches = [...Array(planned.database?.batches ?? 0).keys()]
  for (const batch of batches) {
    const key = workKeys(planned).databaseBatch(batch)
    const read = await getJson(clients.backups, key, DatabaseBatch)
    const based = new Set(read.base.map(({ name }) => name))
    const shards = read.shards.flatMap((shard) => (based.has(shard.name) ? shard : cut(shard, pagesPerShard)))
    await putJson(clients.backups, key, { ...read, shards })
    await exportDatabase(clients, { ...exported, batch }, noProgress)
  }
  if (batches.length > 1) await reconcileBatches(clients, exported)
  if (rehearse) {
    for (const batch of batches) await loadExported(clients, { ...exported, batch }, noProgress)
    await compareExported(clients, { ...exported, wipes })
  }
  await seal(clients, planned, async () => {})
  return (await readBackup(clients, backupId)).manifest
}

/** In place of the one shard that is a small table: shards of a few pages, and one that is open-ended. */
function cut(shard: Shard, pages: number): Shard[] {
  if (shard.pages.from > 0 || shard.pages.to !== null) return [shard]
  const count = Math.max(1, Math.ceil(shard.bytes / 8192 / pages))
  return Array.from({ length: count }, (_, index) => {
    const to = index === count - 1 ? null : (index + 1) * pages
    return { ...shard, shard: index, pages: { from: index * pages, to }, bytes: pages * 8192 }
  })
}

/** The states "Count" to "Restore database" of a restore without a safety backup, and what Finish takes away. */
export async function restoreNight(clients: Clients, backupId: string): Promise<void> {
  const { ENVIRONMENT: confirm } = clients.config
  const planned = await plan(clients, {
    ...{ operation: 'restore', backupId, confirm, targets: ['database'] },
    safetyBackup: false,
  })
  const { batches, ...restored } = restoredBy(planned)
  const loaded = { run: plannedRun(planned), ...restored }
  for (let batch = 0; batch < batches; batch++)
    await loadToRestore(clients, { ...loaded, batch, safetyBackupId: null }, noProgress)
  await compareBackup(clients, loaded)
  await restoreDatabase(clients, { ...databaseOf(planned), backup: await readRestored(clients, loaded) })
  await withConnection(clients, (connection) => dropScratch(connection, planned.runId))
}

/** The lines of each table in a backup, sorted, by the table's name. */
export async function backedUpLines(
  clients: Clients,
  tables: readonly BackedUpTable[],
): Promise<Record<string, string[]>> {
  const lines: Record<string, string[]> = {}
  for (const table of tables) lines[table.name] = await linesOf(clients, table)
  return lines
}

/** The rows of the live tables as such lines. */
export async function liveLines(
  url: string,
  tables: readonly BackedUpTable[],
): Promise<Record<string, string[]>> {
  const lines: Record<string, string[]> = {}
  await inSession(url, async (sql) => {
    for (const table of tables) lines[table.name] = await rowsAsLines(sql, qualified(table), columnsOf(table))
  })
  return lines
}

/** As docs/formats.md has them: those marked `asText` stand in a line as text. */
function columnsOf({ columns }: BackedUpTable): string {
  return columns
    .map(({ name, asText }) => (asText ? `r.${quote(name)}::text AS ${quote(name)}` : `r.${quote(name)}`))
    .join(', ')
}
