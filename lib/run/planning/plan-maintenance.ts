import type { Warning } from '../../backup/manifest.ts'
import { type Backup, readBackup } from '../../backup/read.ts'
import { checkDeletable } from '../../backup/retention/check-delete.ts'
import { sizeOfFolder } from '../../backup/retention/delete.ts'
import { checkVerifiable } from '../../backup/trust.ts'
import type { Clients } from '../../clients.ts'
import { planRehearsal } from '../../database/plan/rehearsal.ts'
import { ForeignBackup } from '../../errors.ts'
import { readLateNoted } from '../../ledger/documents.ts'
import type { RunRef } from '../../ledger/run-ref.ts'
import type { Connection } from '../../postgres/connection.ts'
import type { OnBackup } from '../request.ts'
import { type MaintenancePlan, putPlan } from './plan.ts'

/** The backup that a run acts on, as the ledger keeps it; counted before a delete, for afterwards nothing is left. */
export type Subject = { backupId: string; rehearse: boolean; objects: number; bytes: number }

type PlannedMaintenance = { plan: MaintenancePlan; subject: Subject; warnings: Warning[] }

/**
 * Decides what a verify or a delete does, and keeps it for the steps.
 * @throws BackupKept when the backup must not be deleted; ForeignBackup, SchemaChanged when it cannot be rehearsed here
 * @throws NotFound, BackupDamaged, BackupTooNew
 */
export async function planOnBackup(
  clients: Clients,
  connection: Connection,
  { run, request }: { run: RunRef; request: OnBackup },
): Promise<PlannedMaintenance> {
  const planned =
    request.operation === 'delete'
      ? await planDelete(clients, connection, { run, request })
      : await planVerify(clients, connection, { run, request })
  await putPlan(clients.backups, planned.plan)
  return planned
}

type MaintenanceRequest<Operation> = { run: RunRef; request: Extract<OnBackup, { operation: Operation }> }

async function planDelete(
  clients: Clients,
  connection: Connection,
  { run, request: { operation, backupId } }: MaintenanceRequest<'delete'>,
): Promise<PlannedMaintenance> {
  const { backups, config } = clients
  const { seen } = await checkDeletable(clients, connection, { backupId, runId: run.runId })
  const folder = { prefix: config.BACKUP_PREFIX, backupId }
  const { objects, bytes } = await sizeOfFolder(backups, folder)
  const plan = { ...run, operation, backupId, seen, batches: 0 }
  return { plan, subject: { backupId, rehearse: false, objects, bytes }, warnings: [] }
}

async function planVerify(
  clients: Clients,
  connection: Connection,
  { run, request }: MaintenanceRequest<'verify'>,
): Promise<PlannedMaintenance> {
  const { operation, backupId, rehearse } = request
  const { backups, config } = clients
  const late = await readLateNoted(connection, backupId)
  const backup = await readBackup(backups, config.BACKUP_PREFIX, backupId, { late })
  checkVerifiable(backup, config, request)
  const subject = { backupId, rehearse: rehearse && backup.database !== null, objects: 0, bytes: 0 }
  const plan = { ...run, operation, backupId, seen: backup.seen, batches: 0 }
  if (!rehearse) return { plan, subject, warnings: [] }
  if (backup.database === null) {
    const message = `The backup ${backupId} (${backup.strategy}) holds no database, so there is nothing to rehearse`
    return { plan, subject, warnings: [{ code: 'NotRehearsed', message }] }
  }
  if (backup.environment !== config.ENVIRONMENT) {
    throw new ForeignBackup(
      `The backup ${backupId} is of the environment "${backup.environment}": its rows are not loaded into the database of "${config.ENVIRONMENT}". Rehearse it there, or verify it without "rehearse"`,
    )
  }
  const { batches } = await planRehearsal(clients, connection, { runId: run.runId, held: backup.database })
  return { plan: { ...plan, batches }, subject, warnings: unprovedIn(backup) }
}

/** What its rehearsal leaves open, too: the live tables hold other rows by now, and nothing is locked to try a restore. */
function unprovedIn({ warnings }: Backup): Warning[] {
  return warnings
    .filter(({ code }) => code === 'NotProved')
    .map(({ code, message }) => ({
      code,
      message: `When the backup was made this was not proved, and a rehearsal of it proves it in part at most: ${message}`,
    }))
}
