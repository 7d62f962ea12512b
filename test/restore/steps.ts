import { randomUUID } from 'node:crypto'
import { type Backup, readBackup } from '../../lib/backup/read.ts'
import type { Clients } from '../../lib/clients.ts'
import { exportDatabase } from '../../lib/database/export/export.ts'
import { reconcileBatches } from '../../lib/database/export/reconcile-batches.ts'
import { loadToRestore } from '../../lib/database/load/to-restore.ts'
import { readNoted } from '../../lib/ledger/documents.ts'
import { withConnection } from '../../lib/postgres/with-connection.ts'
import { countAll } from '../../lib/run/count.ts'
import { databaseOf, type Plan, plannedRun, readPlan, restoredBy } from '../../lib/run/planning/plan.ts'
import { seal } from '../../lib/run/seal.ts'
import { noProgress } from '../database/database-stack.ts'

/** The states "Count" to "Seal" of a restore, or with `preserve` of a reset to the backup. A run that was still active is ended first. */
export async function planRestore(
  clients: Clients,
  backupId: string | null,
  {
    preserve,
    ...asked
  }: {
    safetyBackup?: boolean
    tables?: string[]
    includeParents?: boolean
    preserve?: { tables: string[] }
  } = {},
): Promise<Plan> {
  const run = { runId: randomUUID(), attempt: 0 }
  await withConnection(clients, (connection) =>
    connection.query(`UPDATE taskmaster_reset.runs SET status = 'failed' WHERE status = 'running'`),
  )
  const { ENVIRONMENT: confirm } = clients.config
  const common = { confirm, rehearse: false }
  const request =
    preserve === undefined
      ? { operation: 'restore', backupId, ...common, ...asked }
      : { operation: 'reset', strategy: 'database-only', to: backupId, backup: false, preserve, ...common }
  await countAll(clients, { request, startedAt: new Date().toISOString(), ...run })
  const noted = await withConnection(clients, (connection) => readNoted(connection, run.runId))
  const plan = await readPlan(clients.backups, run, noted)
  if (plan.backupId === null) return plan
  const exporting = { ...databaseOf(plan), backupId: plan.backupId ?? '' }
  await exportDatabase(clients, { ...exporting, batch: 0 }, noProgress)
  if ((plan.database?.batches ?? 0) > 1) await reconcileBatches(clients, exporting)
  await seal(clients, plan, async () => {})
  return plan
}

/** The state "Load backup". */
export async function load(clients: Clients, plan: Plan): Promise<void> {
  const run = plannedRun(plan)
  const { backupId: safetyBackupId } = plan
  for (let batch = 0; batch < (plan.restore?.batches ?? 0); batch++) {
    await loadToRestore(clients, { run, batch, safetyBackupId, ...restoredBy(plan) }, noProgress)
  }
}

export function readBackupOf({ backups, config }: Clients, { backupId }: Plan): Promise<Backup> {
  return readBackup(backups, config.BACKUP_PREFIX, backupId ?? '')
}
