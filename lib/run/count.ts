import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import { backupIdOf, backupKeys, workKeys } from '../backup/layout.ts'
import type { Warning } from '../backup/manifest.ts'
import { checkWritable, putJson } from '../backup/storage.ts'
import { countCache } from '../cache/count.ts'
import type { Clients, Connection } from '../clients.ts'
import type { Config } from '../config.ts'
import { readCatalog } from '../database/catalog.ts'
import { countTables } from '../database/count.ts'
import { dropLeftovers } from '../database/scratch.ts'
import { batchesOf, shardsOf } from '../database/shards.ts'
import { withConnection } from '../database/snapshot.ts'
import { LimitExceeded } from '../errors.ts'
import { listFiles } from '../files/list.ts'
import { claim } from './claim.ts'
import { checkConfirmation, checkMarks } from './guard.ts'
import { openRun, type RunRow, recordPlan } from './ledger.ts'
import { checkPermissions, planDatabase } from './plan.ts'
import { digestOfRequest, idempotencyKeyOf, parseRequest, type Request } from './request.ts'
import { scopeOf, type Target } from './strategy.ts'
import type { Plan } from './work.ts'

export const CountInput = z.strictObject({
  /** As the caller sent it; checked here. */
  request: z.unknown(),
  runId: z.string().min(1),
  startedAt: z.iso.datetime({ offset: true }),
  attempt: z.number().int().nonnegative(),
})

/** The state of the execution from here on: small references; the plan itself lies in S3. */
export type Counted =
  | { next: 'repeated'; repeats: string; status: string }
  | { next: 'finish'; runId: string; attempt: number }
  | {
      next: 'backup' | 'wipe'
      runId: string
      attempt: number
      operation: 'backup' | 'reset'
      rehearse: boolean
      clears: Record<Target, boolean>
      /** The batches of each target by number, as items of the Maps: 1,000 of them are 5 KB. */
      batches: Record<Target, number[]>
    }

type Scoped = Exclude<Request, { operation: 'claim' }>

/** State "Count": checks the request and the guards, takes the lock, counts, plans, and writes the work lists. */
export async function countAll(clients: Clients, input: z.output<typeof CountInput>): Promise<Counted> {
  const { runId, attempt } = input
  const request = parseRequest(input.request)
  checkConfirmation(request, clients.config)
  return withConnection(clients, async (connection) => {
    if (request.operation === 'claim') {
      await claim(clients, connection)
      const repeats = await open(connection, input, request)
      return repeats === undefined ? { next: 'finish', runId, attempt } : repeated(repeats)
    }
    const warnings = await checkMarks(clients, connection, request)
    const repeats = await open(connection, input, request)
    if (repeats !== undefined) return repeated(repeats)
    if (!request.dryRun) await dropLeftovers(connection, runId)
    const plan = await makePlan(clients, connection, { input, request, warnings })
    const summary = summaryOf(plan, request.dryRun)
    await recordPlan(connection, { runId, attempt, backupId: plan.backupId, plan: summary })
    if (request.dryRun) return { next: 'finish', runId, attempt }
    return {
      next: plan.backupId === null ? 'wipe' : 'backup',
      runId,
      attempt,
      operation: plan.operation,
      rehearse: plan.rehearse,
      clears: {
        database: plan.clears.includes('database'),
        files: plan.clears.includes('files'),
        cache: plan.clears.includes('cache'),
      },
      batches: {
        database: listOf(plan.database?.batches ?? 0),
        files: listOf(plan.files?.batches ?? 0),
        cache: listOf(plan.cache === null ? 0 : 1),
      },
    }
  })
}

async function open(
  connection: Connection,
  { runId, startedAt }: z.output<typeof CountInput>,
  request: Request,
): Promise<RunRow | undefined> {
  const opened = await openRun(connection, {
    runId,
    operation: request.operation,
    strategy: request.operation === 'claim' ? null : request.strategy,
    requestedBy: request.requestedBy ?? null,
    idempotencyKey: idempotencyKeyOf(request) ?? null,
    requestDigest: digestOfRequest(request),
    startedAt: new Date(startedAt),
  })
  return 'repeats' in opened ? opened.repeats : undefined
}

async function makePlan(
  clients: Clients,
  connection: Connection,
  { input, request, warnings }: { input: z.output<typeof CountInput>; request: Scoped; warnings: Warning[] },
): Promise<Plan> {
  const { config } = clients
  const run = { runId: input.runId, attempt: input.attempt }
  const storage = { s3: clients.s3, bucket: config.BACKUP_BUCKET }
  const wantsBackup = request.operation === 'backup' || request.backup
  const backupId = wantsBackup && !request.dryRun ? backupIdOf({ ...run, startedAt: input.startedAt }) : null
  if (backupId !== null) {
    await checkWritable(storage, `${backupKeys(config.BACKUP_PREFIX, backupId).root}.probe-${randomUUID()}`)
  }
  const { clears } = scopeOf(request.strategy)
  const preserve = {
    tables: [...config.PRESERVE_TABLES, ...request.preserve.tables],
    rows: config.PRESERVE_ROWS,
    excluded: config.EXCLUDE_TABLES,
    files: [...config.PRESERVE_FILES, ...request.preserve.files],
    keys: [...config.PRESERVE_KEYS, ...request.preserve.keys],
  }
  const plan: Plan = {
    ...run,
    startedAt: input.startedAt,
    operation: request.operation,
    strategy: request.strategy,
    backupId,
    rehearse: false,
    clears,
    requestedBy: request.requestedBy ?? null,
    preserve,
    database: null,
    files: null,
    cache: null,
    warnings: [...warnings],
  }
  if (request.operation === 'reset' && !request.backup) {
    plan.warnings.push({
      code: 'NoBackup',
      message: 'The request said "backup": false: what was wiped cannot come back',
    })
  }
  const warnUnmatched = (what: string, pattern: string) =>
    plan.warnings.push({
      code: 'PreserveMatchedNothing',
      message: `No ${what} ${pattern}, which was to be preserved`,
    })
  if (clears.includes('database')) {
    plan.database = await planTables(clients, connection, plan)
    plan.rehearse = plan.backupId !== null && isRehearsed(plan.database.bytes, request, config, plan.warnings)
  }
  if (clears.includes('files')) {
    const { unmatched, ...files } = await listFiles(clients, {
      preserve: preserve.files,
      ...(request.dryRun ? {} : { write: run }),
    })
    plan.files = files
    for (const prefix of unmatched) warnUnmatched('file lies below', prefix)
  }
  if (clears.includes('cache')) {
    const { keys, preservedKeys, unmatched } = await countCache(clients, { preserve: preserve.keys })
    plan.cache = { keys, preservedKeys }
    for (const pattern of unmatched) warnUnmatched('cache key matches', pattern)
  }
  checkLimits(plan, clients)
  if (!request.dryRun) await putJson(storage, workKeys(run).plan, plan)
  return plan
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
): Promise<NonNullable<Plan['database']>> {
  const { config, s3 } = clients
  const catalog = await readCatalog(connection, config.DATABASE_SCHEMAS)
  const { tables, unmanaged, dependsOnRows: _, ...rest } = planDatabase(catalog, plan.preserve)
  checkPermissions({ tables, unmanaged, dependsOnRows: _, ...rest }, catalog, plan.operation === 'reset')
  const counts = await countTables(
    clients,
    tables.map(({ table, keepRows }) => ({ ...table, keepRows })),
  )
  const shards = tables.filter(({ table }) => !table.partitioned).flatMap(({ table }) => shardsOf(table))
  const batches = batchesOf(shards, config.EXPORT_BATCH_BYTES)
  if (plan.backupId !== null) {
    for (const [batch, shards] of batches.entries()) {
      await putJson({ s3, bucket: config.BACKUP_BUCKET }, workKeys(plan).databaseBatch(batch), {
        batch,
        shards,
      })
    }
  }
  return {
    serverVersion: catalog.serverVersion,
    bytes: tables.reduce((sum, { table }) => sum + table.bytes, 0),
    batches: batches.length,
    tables: tables.map((entry) => ({
      ...entry,
      ...(counts.get(entry.table.name) ?? { rows: 0, keptRows: 0 }),
    })),
    unmanaged,
  }
}

/** @throws LimitExceeded */
function checkLimits(plan: Plan, { config }: Clients): void {
  if (plan.operation !== 'reset') return
  const rows = (plan.database?.tables ?? [])
    .filter(({ action }) => action !== 'keep')
    .reduce((sum, table) => sum + table.rows - table.keptRows, 0)
  const objects = plan.files === null ? 0 : plan.files.objects - plan.files.preservedObjects
  const keys = plan.cache === null ? 0 : plan.cache.keys - plan.cache.preservedKeys
  const limits = [
    ['MAX_ROWS', config.MAX_ROWS, rows, 'rows'],
    ['MAX_OBJECTS', config.MAX_OBJECTS, objects, 'files'],
    ['MAX_KEYS', config.MAX_KEYS, keys, 'cache keys'],
  ] as const
  for (const [name, limit, count, what] of limits) {
    if (limit === undefined || count <= limit) continue
    throw new LimitExceeded(
      `The reset would wipe ${count} ${what}, more than ${name}=${limit} allows. Nothing was touched; raise ${name} if that is really wanted`,
    )
  }
}

/** What the ledger keeps of a plan: what a person asks about later, without columns and work lists. */
function summaryOf(plan: Plan, dryRun: boolean): unknown {
  return {
    strategy: plan.strategy,
    clears: plan.clears,
    dryRun,
    preserve: plan.preserve,
    warnings: plan.warnings,
    database: plan.database && {
      bytes: plan.database.bytes,
      batches: plan.database.batches,
      unmanaged: plan.database.unmanaged,
      tables: plan.database.tables.map(({ table, ...entry }) => ({ name: table.name, ...entry })),
    },
    files: plan.files,
    cache: plan.cache,
  }
}

function repeated(first: RunRow): Counted {
  return { next: 'repeated', repeats: first.runId, status: first.status }
}

function listOf(batches: number): number[] {
  return Array.from({ length: batches }, (_, batch) => batch)
}
