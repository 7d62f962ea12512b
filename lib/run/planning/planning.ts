import { randomUUID } from 'node:crypto'
import { agreeing } from '../../amounts.ts'
import { type BackupKeys, backupIdOf, backupKeys } from '../../backup/layout.ts'
import type { Warning } from '../../backup/manifest.ts'
import type { Backup } from '../../backup/read.ts'
import type { Clients } from '../../clients.ts'
import type { Config } from '../../config/variables.ts'
import { checkSelection } from '../../database/plan/exclusions.ts'
import { BackupIdTaken, LimitExceeded } from '../../errors.ts'
import type { RunRef } from '../../ledger/run-ref.ts'
import { operations, saidAs } from '../../operations.ts'
import type { Connection } from '../../postgres/connection.ts'
import { type Bucket, checkWritable } from '../../s3/bucket.ts'
import { listRange } from '../../s3/list.ts'
import { nothing, preservedBy } from '../../store/preserve.ts'
import { together } from '../../store/sections.ts'
import { perStore, type Target, targets } from '../../store.ts'
import { limits, noRestores, type Planned, planners, type Restores } from '../../stores.ts'
import { type Scoped, storeOperationOf } from '../request.ts'
import { type Plan, plannedRun, putPlan } from './plan.ts'

type PlanRequest = {
  run: RunRef
  startedAt: string
  request: Scoped
  /** The stores that the run acts on. */
  clears: Target[]
  /** The backup that is to be restored, for a restore. */
  backup: Backup | null
  warnings: Warning[]
  /** Aborts when the time of the invocation is nearly over. */
  signal?: AbortSignal | undefined
}

/**
 * Counts what is there, decides what happens to it, and writes the work lists. A dry run writes none, and its limits are
 * checked by who asked for it, who wants the plan as well.
 */
export async function makePlan(clients: Clients, connection: Connection, wanted: PlanRequest): Promise<Plan> {
  const { startedAt, request, clears, backup, signal } = wanted
  const { config, backups: bucket } = clients
  if (takesBackup(request)) {
    const keys = backupKeys(config.BACKUP_PREFIX, backupIdOf({ ...wanted.run, startedAt }))
    await checkUnused(bucket, keys)
    await checkWritable(bucket, `${keys.probes}${randomUUID()}`)
  }
  const selection = request.operation === 'restore' ? request : {}
  // Also for a backup that holds no database, of which no store is asked.
  if (backup !== null) checkSelection(backup, selection)
  const plan = beginPlan(wanted, config)
  const { operation, preserve } = plan
  const asked = {
    ...{ run: plannedRun(plan), startedAt, operation, preserve, backup, selection, signal },
    takesBackup: takesBackup(request),
    dryRun: request.dryRun,
    rehearse: request.rehearse,
    takeOver: request.takeOver ?? true,
  }
  const restores: Restores = { ...noRestores }
  async function planStore<T extends Target>(target: T): Promise<void> {
    const { planned, restore, rehearse, warnings } = await planners[target](clients, connection, asked)
    Object.assign(plan, { [target]: planned })
    restores[target] = restore ?? noRestores[target]
    plan.rehearse ||= rehearse ?? false
    plan.warnings.push(...warnings)
  }
  for (const target of clears) await planStore(target)
  if (backup !== null)
    plan.restore = {
      backupId: backup.backupId,
      seen: backup.seen,
      ...wayBack(request),
      ...together(restores),
    }
  if (request.dryRun) return plan
  checkLimits(plan, clients)
  await putPlan(bucket, plan)
  return plan
}

/** What the request alone says, before a store is asked. */
function beginPlan({ run, startedAt, request, clears, warnings }: PlanRequest, config: Config): Plan {
  const plan: Plan = {
    ...run,
    tried: randomUUID(),
    startedAt,
    operation: storeOperationOf(request),
    strategy: 'strategy' in request ? request.strategy : null,
    backupId: takesBackup(request) && !request.dryRun ? backupIdOf({ ...run, startedAt }) : null,
    rehearse: false,
    clears,
    requestedBy: request.requestedBy ?? null,
    preserve: preservationOf(request, config),
    naming: namingOf(request),
    ...perStore(() => null),
    restore: null,
    warnings: [...warnings],
  }
  if (!takesBackup(request)) {
    plan.warnings.push({
      code: 'NoBackup',
      message: 'The request said to take no backup: what is replaced or wiped cannot come back',
    })
  }
  return plan
}

/**
 * An id is a second and six hexadecimal digits: what lies there is another run's, since this one has not begun to write.
 * @throws BackupIdTaken
 */
async function checkUnused(bucket: Bucket, { root, probes }: BackupKeys): Promise<void> {
  for await (const page of listRange(bucket, { prefix: root })) {
    const foreign = page.find(({ key }) => !key.startsWith(probes))
    if (foreign === undefined) continue
    throw new BackupIdTaken(
      `The run's backup would be written below s3://${bucket.name}/${root}, but something lies there already, for example ${foreign.key}: another run has the same id. Nothing was touched; start again`,
    )
  }
}

/** Whether the run backs up what it is going to remove or replace. */
function takesBackup(request: Scoped): boolean {
  if (request.operation === 'backup') return true
  return request.operation === 'reset' ? request.backup : request.safetyBackup
}

/** What a restore does beside putting back what the backup holds; a reset becomes the backup, so that nothing else stays. */
function wayBack(request: Scoped): Pick<NonNullable<Plan['restore']>, 'exact' | 'ttl' | 'to'> {
  if (request.operation === 'restore')
    return { exact: request.exact, ttl: request.ttl ?? 'absolute', to: null }
  const { ttl = 'relative', to = null } = request.operation === 'reset' ? request : {}
  return { exact: true, ttl, to }
}

/** What the backup is to be called; null: nothing is said of it. */
function namingOf(request: Scoped): Plan['naming'] {
  if (request.operation !== 'backup') return null
  const { label = null, note = null, pin = false } = request
  return label === null && note === null && !pin ? null : { label, note, pin }
}

/** What is kept from a reset, also from one that goes back to a backup. A restore keeps nothing: it puts back what the backup holds. */
function preservationOf(request: Scoped, config: Config): Plan['preserve'] {
  const excluded = config.EXCLUDE_TABLES
  if (request.operation === 'restore') return { ...nothing(), rows: {}, excluded }
  return { ...preservedBy(request.preserve, config), rows: config.PRESERVE_ROWS, excluded }
}

/**
 * Of a reset, also of one that goes back to a backup: that replaces as much as the other wipes.
 * @throws LimitExceeded when the plan would wipe or replace more than MAX_ROWS, MAX_OBJECTS or MAX_KEYS
 */
export function checkLimits(plan: Plan, { config }: Pick<Clients, 'config'>): void {
  if (saidAs(plan.operation) !== 'reset') return
  const verb = operations[plan.operation].changes === 'wiped' ? 'wipe' : 'replace'
  for (const target of targets) checkLimit(target, plan, { verb, config })
}

function checkLimit<T extends Target>(
  target: T,
  plan: { [K in T]: Planned[K] | null },
  { verb, config }: { verb: 'wipe' | 'replace'; config: Config },
): void {
  const planned = plan[target]
  if (planned === null) return
  const { name, limit, count, what } = limits[target](planned, config)
  if (limit === undefined || count <= limit) return
  throw new LimitExceeded(
    `The reset would ${verb} ${count} ${agreeing(count, what, `${what}s`)}, more than ${name}=${limit} allows. Nothing was touched; raise ${name} if that is really wanted`,
  )
}
