import { randomUUID } from 'node:crypto'
import * as z from 'zod'
import type { Clients } from '../clients.ts'
import type { Config } from '../config/variables.ts'
import { warnOfPublications } from '../database/plan/publications.ts'
import { dropLeftovers } from '../database/scratch/drop.ts'
import { type Counting, openRun, recordPlan } from '../ledger/open.ts'
import type { RunRow } from '../ledger/runs.ts'
import { type BackupOperation, operations } from '../operations.ts'
import type { Connection } from '../postgres/connection.ts'
import { withConnection } from '../postgres/with-connection.ts'
import { perStore, type Target } from '../store.ts'
import type { Planned } from '../stores.ts'
import { claim } from './claim.ts'
import { planDry } from './dry-run.ts'
import { endRun } from './end.ts'
import { checkConfirmation, checkMarks } from './guard.ts'
import { planOnBackup } from './on-backup/operations.ts'
import { digestOfPlan, type Plan } from './planning/plan.ts'
import { noPlan, planSummaryOf } from './planning/plan-summary.ts'
import { makePlan } from './planning/planning.ts'
import { checkScoped } from './planning/scope.ts'
import {
  digestOfRequest,
  idempotencyKeyOf,
  isDestructive,
  isOnBackup,
  type OnBackup,
  parseRequest,
  type Request,
} from './request.ts'

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
  | { next: 'finish'; runId: string; attempt: number; prunes: false }
  | {
      next: 'backup' | 'wipe' | 'restore' | 'finish' | BackupOperation
      runId: string
      attempt: number
      operation: Exclude<Request['operation'], 'claim'>
      rehearse: boolean
      /** The database is exported in several batches, of which each sees a moment of its own. */
      reconcile: boolean
      /** A retention is configured: old backups are pruned when the run has succeeded. */
      prunes: boolean
      clears: Record<Target, boolean>
      /** The batches of each target by number, as items of the Maps: 1,000 of them are 5 KB. */
      batches: Record<Target | 'verify' | 'load' | 'restoreFiles', number[]>
    }

/**
 * State "Count": checks the request and the guards, takes the lock, counts, plans, and writes the work lists.
 * @param fence `signal` aborts when the time of the invocation is nearly over: then what cannot be counted is refused
 */
export async function countAll(
  clients: Clients,
  input: z.output<typeof CountInput>,
  _report?: unknown,
  { signal }: { signal?: AbortSignal } = {},
): Promise<Counted> {
  const { runId, attempt } = input
  const request = parseRequest(input.request)
  checkConfirmation(request, clients.config)
  const counting = { attempt, invocation: randomUUID() }
  return withConnection(clients, async (connection) => {
    if (request.operation === 'claim') {
      await claim(clients, connection)
      const repeats = await open(clients, connection, { input, request, counting })
      if (repeats === undefined) await recordClaim(connection, { runId, ...counting })
      return repeats === undefined ? { next: 'finish', runId, attempt, prunes: false } : repeated(repeats)
    }
    if (isOnBackup(request)) return countOnBackup(clients, connection, { input, request, counting })
    const { backup, clears, warnings } = await checkScoped(clients, connection, request)
    const repeats = await open(clients, connection, { input, request, counting })
    if (repeats !== undefined) return repeated(repeats)
    const about = { startedAt: input.startedAt, request, clears, backup, warnings, signal }
    const asked = { run: { runId, attempt }, ...about }
    if (request.dryRun) {
      const compares = await planDry(clients, connection, asked, counting)
      const run = { runId, attempt }
      return compares ? looking(run, 'restore') : { next: 'finish', ...run, prunes: false }
    }
    await dropLeftovers(connection, runId, clients.config.LOCK_TIMEOUT_MS)
    const plan = await makePlan(clients, connection, asked)
    const { backupId } = plan
    const summary = planSummaryOf(plan, { backup, dryRun: false, refusal: null })
    const planDigest = digestOfPlan(plan)
    await recordPlan(connection, { runId, ...counting, backupId, plan: summary, planDigest })
    return {
      next: plan.backupId === null ? afterBackup(plan) : 'backup',
      runId,
      attempt,
      operation: wayOf(plan),
      rehearse: plan.rehearse,
      reconcile: (plan.database?.batches ?? 0) > 1,
      prunes: hasRetention(clients.config),
      clears: perStore((target) => plan.clears.includes(target)),
      batches: {
        ...perStore((target) => listOf(batchesOf(plan[target]))),
        verify: [],
        load: listOf(plan.restore?.batches ?? 0),
        restoreFiles: listOf(plan.restore?.files?.batches ?? 0),
      },
    }
  })
}

/** What follows when the stores are compared with a backup, and nothing else is done. */
function looking(run: { runId: string; attempt: number }, operation: 'restore'): Counted {
  return { ...run, next: 'diff', operation, ...idle }
}

const idle = {
  rehearse: false,
  reconcile: false,
  prunes: false,
  clears: perStore(() => false),
  batches: { ...perStore((): number[] => []), restoreFiles: [], verify: [], load: [] },
}

/**
 * What the machine is told, and what its Choice behind Seal goes by, of which the Default wipes: whatever puts a backup in
 * place of what is there goes the way of a restore.
 * @see docs/decisions.md#a-reset-to-a-backup-is-a-restore-to-the-machine
 */
function wayOf({ operation }: Plan): 'backup' | 'reset' | 'restore' {
  const { changes } = operations[operation]
  return changes === null ? 'backup' : changes === 'wiped' ? 'reset' : 'restore'
}

/** What is left to do without a backup: nothing, of what changes nothing. */
function afterBackup({ operation }: Plan): 'wipe' | 'restore' | 'finish' {
  const { changes } = operations[operation]
  return changes === null ? 'finish' : changes === 'wiped' ? 'wipe' : 'restore'
}

/** A claim has no plan; only what has to be said of it is kept. */
async function recordClaim(connection: Connection, run: { runId: string } & Counting): Promise<void> {
  const warnings = await warnOfPublications(connection)
  if (warnings.length === 0) return
  await recordPlan(connection, { ...run, backupId: null, plan: { ...noPlan, warnings }, planDigest: null })
}

/** A run on one backup wipes no store: what is read of it and what a rehearsal loads comes in batches. */
async function countOnBackup(
  clients: Clients,
  connection: Connection,
  { input, request, counting }: { input: z.output<typeof CountInput>; request: OnBackup; counting: Counting },
): Promise<Counted> {
  const run = { runId: input.runId, attempt: input.attempt }
  const { operation } = request
  const found = await checkMarks(clients, connection, { wipes: isDestructive(request), needs: [] })
  const repeats = await open(clients, connection, { input, request, counting })
  if (repeats !== undefined) return repeated(repeats)
  const { plan, subject, warnings } = await planOnBackup(clients, connection, { run, request })
  const summary = { ...noPlan, subject, warnings: [...found, ...warnings] }
  const planDigest = digestOfPlan(plan)
  await recordPlan(connection, { ...run, ...counting, backupId: null, plan: summary, planDigest })
  const batches = { ...idle.batches, verify: listOf(plan.reads), load: listOf(plan.batches) }
  return { ...run, next: operation, operation, ...idle, rehearse: subject.rehearse, batches }
}

async function open(
  clients: Clients,
  connection: Connection,
  {
    input: { runId, startedAt },
    request,
    counting,
  }: { input: z.output<typeof CountInput>; request: Request; counting: Counting },
): Promise<RunRow | undefined> {
  const run = {
    runId,
    operation: request.operation,
    strategy: 'strategy' in request ? request.strategy : null,
    requestedBy: request.requestedBy ?? null,
    idempotencyKey: idempotencyKeyOf(request) ?? null,
    requestDigest: digestOfRequest(request),
    startedAt: new Date(startedAt),
  }
  // Before the request is looked for: a dead run must not be answered as one that is under way.
  await endRun(clients, connection, 'abandoned')
  const opened = await openRun(connection, run, counting)
  return 'repeats' in opened ? opened.repeats : undefined
}

function hasRetention({ RETENTION_LAST, RETENTION_DAILY, RETENTION_WEEKLY }: Config): boolean {
  return [RETENTION_LAST, RETENTION_DAILY, RETENTION_WEEKLY].some((limit) => limit !== undefined)
}

function repeated(first: RunRow): Counted {
  return { next: 'repeated', repeats: first.runId, status: first.status }
}

/** Of a store's section of the plan: one that says nothing of batches is backed up in one. */
function batchesOf(planned: Planned[Target] | null): number {
  if (planned === null) return 0
  return 'batches' in planned ? planned.batches : 1
}

function listOf(batches: number): number[] {
  return Array.from({ length: batches }, (_, batch) => batch)
}
