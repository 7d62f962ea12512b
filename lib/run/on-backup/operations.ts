import type { Clients } from '../../clients.ts'
import type { RunRef } from '../../ledger/run-ref.ts'
import type { BackupOperation } from '../../operations.ts'
import type { Connection } from '../../postgres/connection.ts'
import { putPlan } from '../planning/plan.ts'
import type { OnBackup } from '../request.ts'
import { checkDelete, endOfDelete, planDelete } from './delete.ts'
import { checkDiff, endOfDiff, planDiff } from './diff.ts'
import type { MaintenancePlanner, PlannedOnBackup, RequestTo, StartCheck } from './operation.ts'
import { checkVerify, endOfVerify, planVerify } from './verify.ts'

// A list for each question, as in lib/stores.ts: a function that asks one carries only what answers it.

const checks: { [Name in BackupOperation]: StartCheck<Name> } = {
  verify: checkVerify,
  diff: checkDiff,
  delete: checkDelete,
}

const planners: { [Name in BackupOperation]: MaintenancePlanner<Name> } = {
  verify: planVerify,
  diff: planDiff,
  delete: planDelete,
}

/** What became of the backup, by what is there of it now. */
export const enders = { verify: endOfVerify, diff: endOfDiff, delete: endOfDelete } satisfies Record<
  BackupOperation,
  unknown
>

/** @throws what Count would refuse the request with, as far as that is known without the lock */
export async function checkOnBackup(
  clients: Clients,
  connection: Connection,
  request: OnBackup,
): Promise<void> {
  const check = <Name extends BackupOperation>(name: Name, request: RequestTo<Name>) =>
    checks[name](clients, connection, request)
  await check<BackupOperation>(request.operation, request)
}

/** Decides what the run does, and keeps it for the steps. @throws what the run is refused with */
export async function planOnBackup(
  clients: Clients,
  connection: Connection,
  { run, request }: { run: RunRef; request: OnBackup },
): Promise<PlannedOnBackup> {
  const plan = <Name extends BackupOperation>(name: Name, request: RequestTo<Name>) =>
    planners[name](clients, connection, { run, request })
  const planned = await plan<BackupOperation>(request.operation, request)
  await putPlan(clients.backups, planned.plan)
  return planned
}
