import { randomUUID } from 'node:crypto'
import { agreeing } from '../../amounts.ts'
import { putFirst } from '../../backup/documents/documents.ts'
import { backupIdOf, backupKeys, workKeys } from '../../backup/layout.ts'
import type { Warning } from '../../backup/manifest.ts'
import type { Backup } from '../../backup/read.ts'
import { cacheLimit, planCache } from '../../cache/plan.ts'
import type { Clients } from '../../clients.ts'
import type { Config } from '../../config.ts'
import { type Catalog, readCatalog } from '../../database/catalog/catalog.ts'
import { checkSchema } from '../../database/catalog/schema-differences.ts'
import { sequencesOf } from '../../database/catalog/sequences.ts'
import { batchesOf, shardsOf } from '../../database/export/shards.ts'
import { bytesHeld, checkLockedTime } from '../../database/locks/duration.ts'
import { checkLockNeed, readLockNeed } from '../../database/locks/need.ts'
import { countInSnapshot } from '../../database/plan/count.ts'
import { leaveOut, warnOfLaterTables, warnOfLeftOut } from '../../database/plan/exclusions.ts'
import { checkKeptRows } from '../../database/plan/kept-rows.ts'
import { warnOfLargeObjects } from '../../database/plan/large-objects.ts'
import { loadBatches } from '../../database/plan/load-batches.ts'
import { warnOfLeftBehind } from '../../database/plan/out-of-reach.ts'
import { warnOfKept } from '../../database/plan/restore-rights.ts'
import { planSwap } from '../../database/plan/swap.ts'
import {
  checkPermissions,
  type DatabasePlan,
  planDatabase,
  type TableAction,
} from '../../database/plan/table-actions.ts'
import { tryRestore, warnOfUnproved } from '../../database/plan/trial-restore.ts'
import { checkScratchAllowed } from '../../database/scratch.ts'
import { viewsOver } from '../../database/views.ts'
import { BackupIdTaken, LimitExceeded } from '../../errors.ts'
import { filesLimit, planFiles } from '../../files/plan.ts'
import type { Connection } from '../../postgres/connection.ts'
import { underOwnSearchPath } from '../../postgres/search-path.ts'
import { checkWritable, type Storage } from '../../s3/bucket.ts'
import { listRange } from '../../s3/list.ts'
import type { Scoped } from '../request.ts'
import type { Target } from '../strategy.ts'
import { type Plan, putPlan, type RunRef } from './plan.ts'

type Asked = {
  run: RunRef
  startedAt: string
  request: Scoped
  /** The stores that the run acts on. */
  clears: Target[]
  /** The backup that is to be restored, for a restore. */
  restored: Backup | null
  warnings: Warning[]
}

/**
 * Counts what is there, decides what happens to it, and writes the work lists. A dry run writes none, and its limits are
 * checked by who asked for it, who wants the plan as well.
 */
export async function makePlan(
  clients: Clients,
  connection: Connection,
  { run, startedAt, request, clears, restored, warnings }: Asked,
): Promise<Plan> {
  const { config } = clients
  const storage = clients.backups
  const backupId = takesBackup(request) && !request.dryRun ? backupIdOf({ ...run, startedAt }) : null
  if (takesBackup(request)) {
    const { root } = backupKeys(config.BACKUP_PREFIX, backupIdOf({ ...run, startedAt }))
    await checkUnused(storage, root)
    await checkWritable(storage, `${root}${probe}${randomUUID()}`)
  }
  const preserve = preservationOf(request, config)
  const without = request.operation === 'restore' ? (request.without ?? []) : []
  const putBack = restored && leaveOut(restored, without)
  const plan: Plan = {
    ...run,
    tried: randomUUID(),
    startedAt,
    operation: request.operation,
    strategy: request.operation === 'restore' ? null : request.strategy,
    backupId,
    rehearse: false,
    clears,
    requestedBy: request.requestedBy ?? null,
    preserve,
    database: null,
    files: null,
    cache: null,
    restore: null,
    warnings: [...warnings],
  }
  if (!takesBackup(request)) {
    plan.warnings.push({
      code: 'NoBackup',
      message: 'The request said to take no backup: what is replaced or wiped cannot come back',
    })
  }
  if (clears.includes('database')) {
    plan.database = await planTables(clients, connection, plan, {
      restored,
      putBack,
      without,
      takesBackup: takesBackup(request),
    })
    plan.warnings.push(...(await warnOfLargeObjects(connection)))
    const works = lockedWorks(request, plan.database.bytes, putBack)
    plan.warnings.push(...(await checkLockedTime(connection, config, works)))
    plan.rehearse = takesBackup(request) && isRehearsed(plan.database.bytes, request, config, plan.warnings)
    if (plan.operation === 'reset' && takesBackup(request) && !plan.rehearse) {
      const wiped = plan.database.tables.filter(({ action }) => action !== 'keep').map(({ table }) => table)
      plan.warnings.push(...(await warnOfUnproved(connection, wiped)))
    }
    if (plan.rehearse && plan.operation === 'backup') await checkScratchAllowed(connection, plan.runId)
  }
  const { operation, dryRun } = request
  const files = clears.includes('files')
    ? await planFiles(clients, { run: plan, operation, dryRun, preserve: preserve.files, restored })
    : null
  plan.files = files?.planned ?? null
  plan.warnings.push(...(files?.warnings ?? []))
  const cache = clears.includes('cache')
    ? await planCache(clients, { operation, dryRun, preserve: preserve.keys })
    : null
  plan.cache = cache?.planned ?? null
  plan.warnings.push(...(cache?.warnings ?? []))
  if (request.operation === 'restore' && restored !== null) {
    plan.restore = {
      backupId: restored.backupId,
      seen: restored.seen,
      exact: request.exact,
      without,
      batches: clears.includes('database') ? loadBatches(putBack?.database?.tables ?? []).length : 0,
      files: files?.restore ?? null,
    }
  }
  if (request.dryRun) return plan
  checkLimits(plan, clients)
  await putPlan(storage, plan)
  return plan
}

/** An object that Count begins and gives up, to learn whether it may write. */
const probe = '.probe-'

/**
 * An id is a second and six hexadecimal digits: what lies there is another run's, since this one has not begun to write.
 * @throws BackupIdTaken
 */
async function checkUnused(storage: Storage, root: string): Promise<void> {
  for await (const page of listRange(storage, { prefix: root })) {
    const foreign = page.find(({ key }) => !key.startsWith(`${root}${probe}`))
    if (foreign === undefined) continue
    throw new BackupIdTaken(
      `The run's backup would be written below s3://${storage.bucket}/${root}, but something lies there already, for example ${foreign.key}: another run has the same id. Nothing was touched; start again`,
    )
  }
}

/** Whether the run backs up what it is going to remove or replace. */
function takesBackup(request: Scoped): boolean {
  if (request.operation === 'backup') return true
  return request.operation === 'reset' ? request.backup : request.safetyBackup
}

/** What is kept from a wipe. A restore keeps nothing: it puts back what the backup holds. */
function preservationOf(request: Scoped, config: Config): Plan['preserve'] {
  const excluded = config.EXCLUDE_TABLES
  if (request.operation === 'restore') return { tables: [], rows: {}, excluded, files: [], keys: [] }
  return {
    tables: [...config.PRESERVE_TABLES, ...request.preserve.tables],
    rows: config.PRESERVE_ROWS,
    excluded,
    files: [...config.PRESERVE_FILES, ...request.preserve.files],
    keys: [...config.PRESERVE_KEYS, ...request.preserve.keys],
  }
}

/** Whether the backup is rehearsed; one that is only read back says so. */
function isRehearsed(bytes: number, request: Scoped, config: Config, warnings: Warning[]): boolean {
  if (request.rehearse !== 'auto') return request.rehearse
  if (bytes < config.REHEARSE_MAX_BYTES) return true
  warnings.push({
    code: 'NotRehearsed',
    message: `The database has ${bytes} bytes, more than the ${config.REHEARSE_MAX_BYTES} of REHEARSE_MAX_BYTES: the backup is read back byte for byte, but not loaded and compared`,
  })
  return false
}

async function planTables(
  clients: Clients,
  connection: Connection,
  plan: Plan,
  /** The backup that is restored, whole, and without what the request leaves out. */
  {
    restored,
    putBack,
    without,
    takesBackup,
  }: { restored: Backup | null; putBack: Backup | null; without: string[]; takesBackup: boolean },
): Promise<NonNullable<Plan['database']>> {
  const { backups, config } = clients
  const catalog = await readCatalog(connection, config.DATABASE_SCHEMAS, config.LOCK_TIMEOUT_MS)
  const chosen = putBack?.database
    ? planSwap(catalog, plan.preserve, putBack.database.tables)
    : planDatabase(catalog, plan.preserve)
  checkPermissions(chosen, catalog, plan.operation !== 'backup')
  const { tables, unmanaged } = chosen
  if (plan.operation === 'reset')
    await underOwnSearchPath(connection, () =>
      checkKeptRows(connection, { tables, keys: chosen.dependsOnRows }),
    )
  if (plan.operation !== 'backup') await checkLocks(connection, { plan, chosen, restored, takesBackup })
  const swapped = tables.filter(({ action }) => action !== 'keep').map(({ table }) => table)
  if (plan.operation !== 'backup') {
    const sequences = sequencesOf(catalog.sequences, swapped)
    const untried = await tryRestore(connection, { tables: swapped, sequences })
    if (plan.operation === 'reset' && takesBackup)
      plan.warnings.push(...untried, ...(await warnOfKeptTables(connection, catalog, tables)))
  }
  if (restored !== null) plan.warnings.push(...warnOfLeftOut(restored, without, catalog))
  const newColumns = putBack?.database ? checkSchema(putBack.database, catalog) : []
  if (newColumns.length > 0) {
    plan.warnings.push({
      code: 'NewColumns',
      message: `Columns that came after the backup get their default in the restored rows: ${newColumns.join(', ')}`,
    })
  }
  const counts = await countInSnapshot(
    connection,
    config,
    tables.map(({ table, keepRows }) => ({ ...table, keepRows })),
  )
  const counted = tables.map((entry) => ({
    ...entry,
    ...(counts.get(entry.table.name) ?? { rows: 0, keptRows: 0 }),
  }))
  const { operation } = plan
  plan.warnings.push(
    ...(await warnOfLeftBehind(connection, { catalog, plan: chosen, operation })),
    ...(restored === null ? [] : warnOfLaterTables(restored, counted)),
  )
  const views = operation === 'backup' ? [] : await viewsOver(connection, swapped)
  const shards = tables.filter(({ table }) => !table.partitioned).flatMap(({ table }) => shardsOf(table))
  const batches = batchesOf(shards, config.EXPORT_BATCH_BYTES)
  if (plan.backupId !== null) {
    for (const [batch, shards] of batches.entries()) {
      await putFirst(backups, workKeys(plan).databaseBatch(batch), { batch, shards })
    }
  }
  return {
    serverVersion: catalog.serverVersion,
    bytes: tables.reduce((sum, { table }) => sum + table.bytes, 0),
    batches: batches.length,
    tables: counted,
    unmanaged,
    views: views.map(({ name }) => name),
  }
}

async function warnOfKeptTables(
  connection: Connection,
  { sequences }: Catalog,
  tables: readonly TableAction[],
): Promise<Warning[]> {
  const swapped = tables.filter(({ action }) => action !== 'keep').map(({ table }) => table)
  const kept = tables.filter(({ action }) => action === 'keep').map(({ table }) => table)
  const tried = new Set(sequencesOf(sequences, swapped))
  return warnOfKept(connection, {
    tables: kept,
    sequences: sequencesOf(sequences, kept).filter((sequence) => !tried.has(sequence)),
  })
}

/** What is done under locks, now or when the backup is restored. */
function lockedWorks(
  request: Scoped,
  bytes: number,
  putBack: Backup | null,
): Parameters<typeof checkLockedTime>[2] {
  if (request.operation === 'backup') return []
  if (request.operation === 'restore') {
    const held = bytesHeld(putBack?.database?.tables ?? [])
    return [{ work: 'restore', bytes: Math.max(bytes, held), later: false }]
  }
  const wipe = { work: 'wipe', bytes, later: false } as const
  return takesBackup(request) ? [wipe, { work: 'restore', bytes, later: true }] : [wipe]
}

/**
 * A wipe that is covered by a backup needs what its restore needs: else the backup could not come back. @throws LimitExceeded
 */
async function checkLocks(
  connection: Connection,
  {
    plan,
    chosen,
    restored,
    takesBackup,
  }: { plan: Plan; chosen: DatabasePlan; restored: Backup | null; takesBackup: boolean },
): Promise<void> {
  const going = chosen.tables.filter(({ action }) => action !== 'keep')
  const isRestorable = plan.operation === 'restore' || takesBackup
  const tables = isRestorable ? chosen.tables : going
  const oids = tables.map(({ table }) => table.oid)
  const asked = {
    oids,
    sequences: restored?.database?.sequences.length ?? chosen.restart.length,
    reads: isRestorable,
  }
  const { need, settings } = await readLockNeed(connection, asked)
  const does =
    plan.operation === 'restore' ? 'The restore' : isRestorable ? "The backup's restore" : 'The wipe'
  checkLockNeed(does, need, settings)
}

/** @throws LimitExceeded when the plan would wipe more than MAX_ROWS, MAX_OBJECTS or MAX_KEYS */
export function checkLimits(plan: Plan, { config }: Pick<Clients, 'config'>): void {
  if (plan.operation !== 'reset') return
  const rows = (plan.database?.tables ?? [])
    .filter(({ action }) => action !== 'keep')
    .reduce((sum, table) => sum + table.rows - table.keptRows, 0)
  const limits = [
    { name: 'MAX_ROWS', limit: config.MAX_ROWS, count: rows, what: 'row' },
    ...(plan.files === null ? [] : [filesLimit(plan.files, config)]),
    ...(plan.cache === null ? [] : [cacheLimit(plan.cache, config)]),
  ]
  for (const { name, limit, count, what } of limits) {
    if (limit === undefined || count <= limit) continue
    throw new LimitExceeded(
      `The reset would wipe ${count} ${agreeing(count, what, `${what}s`)}, more than ${name}=${limit} allows. Nothing was touched; raise ${name} if that is really wanted`,
    )
  }
}
