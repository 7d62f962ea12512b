import type * as z from 'zod'
import type { Backup } from '../backup/read.ts'
import type { Clients } from '../clients.ts'
import { LimitExceeded, NotComparable, NotPermitted } from '../errors.ts'
import { type Counting, recordPlan } from '../ledger/open.ts'
import type { Connection } from '../postgres/connection.ts'
import { refusalOfReal } from './guard.ts'
import { isHooked } from './hooks/hooked.ts'
import { planComparison } from './on-backup/diff.ts'
import { digestOfPlan, type MaintenancePlan, type Plan, putPlan } from './planning/plan.ts'
import { noPlan, type PlanSummary, planSummaryOf } from './planning/plan-summary.ts'
import { checkLimits, makePlan } from './planning/planning.ts'
import { storeOperationOf } from './request.ts'
import { notCompared } from './words/not-compared.ts'

/**
 * What a dry run leaves in the ledger: first that it is one, so that it is told as such whatever it is refused for; then the
 * plan, also when limits refuse it.
 * @returns whether what it would change is to be looked at row by row
 * @throws what the real run would be refused with, but for the protection, which is kept beside the plan
 */
export async function planDry(
  clients: Clients,
  connection: Connection,
  asked: Parameters<typeof makePlan>[2],
  counting: Counting,
): Promise<boolean> {
  const { run, request, backup, clears, warnings } = asked
  const refusal = await refusalOfReal(clients, connection, request)
  const told = {
    dryRun: true,
    refusal: refusal && { name: refusal.name, message: refusal.message },
    hooks: isHooked(clients.config, storeOperationOf(request)),
  }
  const record = (plan: z.input<typeof PlanSummary>, planDigest: string | null = null) =>
    recordPlan(connection, { ...run, ...counting, backupId: null, plan, planDigest })
  await record({ ...noPlan, clears, warnings, ...told })
  const plan = await makePlan(clients, connection, asked)
  const comparison = backup === null ? null : await compareDry(clients, connection, { plan, backup })
  const compares = comparison !== null
  await record(planSummaryOf(plan, { backup, ...told, compares }), comparison && digestOfPlan(comparison))
  checkLimits(plan, clients)
  return compares
}

/** What a restore does without. */
const obstacles = [NotComparable, LimitExceeded, NotPermitted]

/** What the states that compare are told; null, with a warning: what the restore would change cannot be looked at. */
async function compareDry(
  clients: Clients,
  connection: Connection,
  { plan, backup }: { plan: Plan; backup: Backup },
): Promise<MaintenancePlan | null> {
  const { runId, attempt, clears } = plan
  try {
    const { without, crossing, touchedFiles, touchedKeys, ttl } = plan.restore ?? {}
    const countsKeys = crossing === 'refuse'
    const narrowed = { targets: clears, without, countsKeys, touchedFiles, touchedKeys, ttl }
    const asked = { run: { runId, attempt }, backup, ...narrowed }
    const comparison = await planComparison(clients, connection, asked)
    await putPlan(clients.backups, comparison.plan)
    return comparison.plan
  } catch (error) {
    if (!(error instanceof Error && obstacles.some((kind) => error instanceof kind))) throw error
    plan.warnings.push(notCompared(error.message))
    return null
  }
}
