import type { Clients } from '../../clients.ts'
import { BackupKept, ForeignBackup } from '../../errors.ts'
import type { Connection } from '../../postgres/connection.ts'
import { type Backup, readBackup } from '../read.ts'
import { readBackupFolders } from './folders.ts'
import { readLedger } from './ledger-view.ts'
import { protectionsOf } from './retention.ts'

/**
 * Whether a person may delete a backup: not when it is pinned, labelled, needed by another active run, or the newest or newest
 * rehearsed one of its strategy, with or without something that is not proved. Only new backups change who is the newest, so what may go at one time may go later, but
 * for a pin and a label, which are looked for again.
 * @param runId the run that is to delete it, when there is one already
 * @throws BackupKept naming every rule, NotFound, BackupDamaged, BackupTooNew, ForeignBackup
 * @throws EnvironmentUnclaimed, EnvironmentMismatch when this is not the ledger of the environment
 */
export async function checkDeletable(
  clients: Clients,
  connection: Connection,
  { backupId, runId = null }: { backupId: string; runId?: string | null },
): Promise<Backup> {
  const { backups, config } = clients
  const backup = await readBackup(backups, config.BACKUP_PREFIX, backupId)
  if (backup.environment !== config.ENVIRONMENT) {
    throw new ForeignBackup(
      `The backup ${backupId} is of the environment "${backup.environment}", and this is "${config.ENVIRONMENT}". Nothing was deleted; delete it there`,
    )
  }
  const { neededBy, labelsOf } = await readLedger(connection, clients, runId)
  const isNeeded = (id: string) => neededBy(id).some((other) => other !== runId)
  const folders = await readBackupFolders(clients, isNeeded, labelsOf)
  const sealed = folders.filter((one) => one.is === 'sealed')
  // By the clock of the ledger, as in a prune: one that is late would find another backup the newest.
  const { rows } = await connection.query('SELECT clock_timestamp() AS now')
  const reasons = protectionsOf(sealed, rows[0]?.now).get(backupId)
  if (reasons === undefined) return backup
  throw new BackupKept(
    `The backup ${backupId} (${backup.strategy}) is not deleted, because of this: ${reasons.join('; ')}. ${wayOut(reasons)}`,
  )
}

function wayOut(reasons: readonly string[]): string {
  const ways = [
    ...(reasons.includes('pinned') ? ['unpin it'] : []),
    ...(reasons.some((reason) => reason.startsWith('labelled ')) ? ['take its labels away'] : []),
    ...(reasons.includes('an active run needs it') ? ['wait for that run'] : []),
    ...(reasons.some((reason) => reason.startsWith('the newest'))
      ? ['first take a newer backup of the same strategy, rehearsed if this one is']
      : []),
  ]
  return ways.length === 0
    ? 'Nothing was deleted'
    : `Nothing was deleted; to delete it, ${ways.join(', and ')}`
}
