import type { Clients } from '../../clients.ts'
import { BackupKept, ForeignBackup } from '../../errors.ts'
import type { Connection } from '../../postgres/connection.ts'
import { type HasTime, ifTime } from '../documents/in-time.ts'
import { type Backup, readBackup } from '../read.ts'
import { foldersAtOnce, listBackupFolders, readFolders } from './folders.ts'
import { readLedger, readUnknown } from './ledger-view.ts'
import { type Candidate, protectionsOf } from './retention.ts'

/**
 * Whether a person may delete a backup: not when it is pinned, labelled, needed by another active run, or the newest or newest
 * rehearsed one of its strategy, with or without something that is not proved. Only new backups change who is the newest, so what may go at one time may go later, but
 * for a pin and a label, which are looked for again.
 * @param runId the run that is to delete it, when there is one already
 * @param hasTime to find out; without, what is not known by then is left to the run, which asks again
 * @throws BackupKept naming every rule, NotFound, BackupDamaged, BackupTooNew, ForeignBackup
 * @throws EnvironmentUnclaimed, EnvironmentMismatch when this is not the ledger of the environment
 */
export async function checkDeletable(
  clients: Clients,
  connection: Connection,
  { backupId, runId = null, hasTime }: { backupId: string; runId?: string | null; hasTime?: HasTime },
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
  const isUnknown = await readUnknown(connection)
  // By the clock of the ledger, as in a prune: one that is late would find another backup the newest.
  const { rows } = await connection.query('SELECT clock_timestamp() AS now')
  const asked = { backupId, now: rows[0]?.now, hasTime }
  const reasons = await reasonsFor(clients, { isNeeded, labelsOf, isUnknown }, asked)
  if (reasons === undefined || reasons.length === 0) return backup
  throw new BackupKept(
    `The backup ${backupId} (${backup.strategy}) is not deleted, because of this: ${reasons.join('; ')}. ${wayOut(reasons)}`,
  )
}

/**
 * Reads no more folders than say it: another backup can only take the place of the newest from this one. An id begins with the
 * second; what is of an earlier one began before it, and one run has sealed its backup before the next begins.
 */
async function reasonsFor(
  clients: Clients,
  said: Parameters<typeof readFolders>[1],
  { backupId, now, hasTime = () => true }: { backupId: string; now: Date; hasTime: HasTime | undefined },
): Promise<string[] | undefined> {
  const second = backupId.slice(0, 'YYYY-MM-DDThh-mm-ssZ'.length)
  const all = await listBackupFolders(clients)
  const later = all.filter((id) => id >= second && id !== backupId).toReversed()
  const sealed: Candidate[] = []
  let reasons: string[] | undefined
  for (let ids = [backupId]; ids.length > 0; ids = later.splice(0, foldersAtOnce)) {
    const folders = await ifTime(readFolders(clients, said, ids, { hasTime }))
    if (folders === null) return reasons?.filter((reason) => !isNewest(reason))
    sealed.push(...folders.filter((one) => one.is === 'sealed'))
    reasons = protectionsOf(sealed, now).get(backupId)
    if (!reasons?.some(isNewest)) break
  }
  return reasons
}

function isNewest(reason: string): boolean {
  return reason.startsWith('the newest')
}

function wayOut(reasons: readonly string[]): string {
  const ways = [
    ...(reasons.includes('pinned') ? ['unpin it'] : []),
    ...(reasons.some((reason) => reason.startsWith('labelled ')) ? ['take its labels away'] : []),
    ...(reasons.includes('an active run needs it') ? ['wait for that run'] : []),
    ...(reasons.some(isNewest)
      ? ['first take a newer backup of the same strategy, rehearsed if this one is']
      : []),
  ]
  return ways.length === 0
    ? 'Nothing was deleted'
    : `Nothing was deleted; to delete it, ${ways.join(', and ')}`
}
