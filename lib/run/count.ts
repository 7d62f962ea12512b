import { randomUUID } from 'node:crypto'
import * as z from 'zod'
import type { Clients } from '../clients.ts'
import type { Config } from '../config/variables.ts'
import { warnOfPublications } from '../database/plan/publications.ts'
import { dropLeftovers } from '../database/scratch/drop.ts'
import { type Counting, openRun, recordPlan } from '../ledger/open.ts'
import type { RunRow } from '../ledger/runs.ts'
import type { Connection } from '../postgres/connection.ts'
import { withConnection } from '../postgres/with-connection.ts'
import { claim } from './claim.ts'
import { planDry } from './dry-run.ts'
import { endRun } from './end.ts'
import { checkConfirmation, checkMarks } from './guard.ts'
import { isHooked } from './hooks/hooked.ts'
import { planOnBackup } from './on-backup/operations.ts'
import { batchList, type Counted, countedBy, idle, looking } from './planning/counted.ts'
import { digestOfPlan } from './planning/plan.ts'
import { noPlan, planSummaryOf } from './planning/plan-summary.ts'
import { makePlan } from './planning/planning.ts'
import { checkScoped } from './planning/scope.ts'
import { type Resolved, resolveRequest } from './planning/target.ts'
import {
  digestOfRequest,
  idempotencyKeyOf,
  isDestructive,
  isOnBackup,
  type OnBackup,
  operationOfRequest,
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
    if (isOnBackup(request)) {
      const resolved = await resolveRequest(clients, connection, request, runId)
      return countOnBackup(clients, connection, { input, said: request, ...resolved, counting })
    }
    const { request: scoped, target } = await resolveRequest(clients, connection, request, runId)
    const { backup, clears, warnings } = await checkScoped(clients, connection, scoped, target)
    const repeats = await open(clients, connection, { input, request, target, counting })
    if (repeats !== undefined) return repeated(repeats)
    const about = { startedAt: input.startedAt, request: scoped, clears, backup, warnings, signal }
    const asked = { run: { runId, attempt }, ...about }
    if (request.dryRun) {
      const compares = await planDry(clients, connection, asked, counting)
      const run = { runId, attempt }
      return compares ? looking(run) : { next: 'finish', ...run, prunes: false }
    }
    await dropLeftovers(connection, runId, clients.config.LOCK_TIMEOUT_MS)
    const plan = await makePlan(clients, connection, asked)
    const { backupId } = plan
    const summary = planSummaryOf(plan, { backup, dryRun: false, refusal: null })
    const planDigest = digestOfPlan(plan)
    await recordPlan(connection, { runId, ...counting, backupId, plan: summary, planDigest })
    return countedBy(plan, {
      prunes: hasRetention(clients.config),
      hooks: isHooked(clients.config, plan.operation),
    })
  })
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
  {
    input,
    said,
    request,
    target,
    counting,
  }: Resolved<OnBackup> & { input: z.output<typeof CountInput>; said: OnBackup; counting: Counting },
): Promise<Counted> {
  const run = { runId: input.runId, attempt: input.attempt }
  const { operation } = request
  const found = await checkMarks(clients, connection, { wipes: isDestructive(request), needs: [] })
  const repeats = await open(clients, connection, { input, request: said, target, counting })
  if (repeats !== undefined) return repeated(repeats)
  const { plan, subject, warnings } = await planOnBackup(clients, connection, { run, request })
  const summary = { ...noPlan, subject, warnings: [...found, ...warnings] }
  const planDigest = digestOfPlan(plan)
  await recordPlan(connection, { ...run, ...counting, backupId: null, plan: summary, planDigest })
  const batches = { ...idle.batches, verify: batchList(plan.reads), load: batchList(plan.batches) }
  return { ...run, next: operation, operation, ...idle, rehearse: subject.rehearse, batches }
}

async function open(
  clients: Clients,
  connection: Connection,
  {
    input: { runId, startedAt },
    request,
    target = null,
    counting,
  }: {
    input: z.output<typeof CountInput>
    /** As it was said: so it is recognised. */
    request: Request
    target?: string | null
    counting: Counting
  },
): Promise<RunRow | undefined> {
  const run = {
    runId,
    operation: operationOfRequest(request),
    strategy: 'strategy' in request ? request.strategy : null,
    requestedBy: request.requestedBy ?? null,
    idempotencyKey: idempotencyKeyOf(request) ?? null,
    requestDigest: digestOfRequest(request),
    startedAt: new Date(startedAt),
    targetBackupId: target,
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
