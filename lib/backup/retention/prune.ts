import type { Clients } from '../../clients.ts'
import { removeNote } from '../../ledger/labels/notes.ts'
import { withConnection } from '../../postgres/with-connection.ts'
import { backupKeys } from '../layout.ts'
import { clearRetired, type Deleted, retireBackup, sizeOfFolder } from './delete.ts'
import { readBackupFolders } from './folders.ts'
import { readLedger, readUnknown, whileLedgerStands } from './ledger-view.ts'
import { type Decision, decideRetention, labelled, type Policy } from './retention.ts'
import { removeTombstone } from './tombstone.ts'

/** `deleted`: what went; in a dry run, what would go; null when the backup stays. */
type Pruned = Decision & { strategy: string; sealedAt: string; deleted: Deleted | null }

export type PruneResult = {
  dryRun: boolean
  policy: Policy
  /** Why nothing is deleted whatever the policy says; null: nothing is in the way. */
  refused: string | null
  /** The sealed backups, the newest first. */
  backups: Pruned[]
  /** Kept, and not counted: their manifest cannot be understood, or they are of another environment. */
  left: { backupId: string; reason: string }[]
  /** No backups any more: what an earlier prune began to delete. */
  leftovers: { backupId: string; deleted: Deleted }[]
}

type PruneOptions = { dryRun?: boolean; endOf?: string | null; signal?: AbortSignal | undefined }

/**
 * Deletes the sealed backups that RETENTION_LAST, _DAILY and _WEEKLY keep no longer, and finishes what an earlier prune
 * left half deleted. A dry run, which is the default, only says what would go and why. Of each backup the manifest goes
 * first, so that a prune that dies half-way leaves no damaged backup, but none. A folder without manifest and tombstone
 * is never touched: it may be a backup that is being written.
 * @param endOf the run at whose successful end this is called, if there is one; what it made itself stays
 * @param signal ends the prune before the next deletion, or the next folder that it reads
 * @throws StoreUnavailable, NotPermitted, DatabaseBusy, EnvironmentUnclaimed, EnvironmentMismatch: before anything is
 *   deleted, or between two backups. A single object that cannot be deleted does not throw: see `failures`
 */
export async function prune(
  clients: Clients,
  { dryRun = true, endOf = null, signal }: PruneOptions = {},
): Promise<PruneResult> {
  const { backups, config } = clients
  const [bucket, prefix] = [backups, config.BACKUP_PREFIX]
  const policy = {
    last: config.RETENTION_LAST,
    daily: config.RETENTION_DAILY,
    weekly: config.RETENTION_WEEKLY,
  }
  const [ledger, isUnknown] = await withConnection(clients, async (connection) => [
    await readLedger(connection, clients, endOf),
    await readUnknown(connection),
  ])
  const isNeeded = (backupId: string) => ledger.neededBy(backupId).length > 0
  const said = { isNeeded, labelsOf: ledger.labelsOf, isUnknown }
  const folders = await readBackupFolders(clients, said, { signal })
  const sealed = folders.filter((one) => one.is === 'sealed')
  const result: PruneResult = {
    ...{ dryRun, policy, refused: ledger.refused, backups: [], leftovers: [] },
    left: folders.filter((one) => one.is === 'left').map(({ backupId, reason }) => ({ backupId, reason })),
  }
  const byId = new Map(sealed.map((one) => [one.backupId, one]))
  for (const decision of decideRetention(sealed, policy, clients.now())) {
    const { strategy = '', sealedAt = '', hasTombstone = false } = byId.get(decision.backupId) ?? {}
    const carriedOut = await carryOut(clients, decision, { dryRun, endOf, signal, refused: ledger.refused })
    if (carriedOut.keep && hasTombstone && !dryRun && ledger.refused === null)
      await whileLedgerStands(clients, () => removeTombstone(bucket, backupKeys(prefix, decision.backupId)))
    result.backups.push({ ...carriedOut, strategy, sealedAt })
  }
  for (const { backupId } of folders.filter((one) => one.is === 'leftover')) {
    const folder = { prefix, backupId }
    const isDry = dryRun || ledger.refused !== null
    // Listed before this look: whoever writes into it by now is known. A tombstone there is somebody else's.
    const look = isDry
      ? ledger
      : await whileLedgerStands(clients, (connection) => readLedger(connection, clients, endOf))
    if ((look.refused !== null && !isDry) || look.neededBy(backupId).length > 0) continue
    const deleted = await (isDry ? sizeOfFolder(bucket, folder) : clearRetired(bucket, folder, { signal }))
    result.leftovers.push({ backupId, deleted })
  }
  return result
}

async function carryOut(
  clients: Clients,
  decision: Decision,
  { dryRun, endOf, signal, refused }: Required<PruneOptions> & { refused: string | null },
): Promise<Decision & { deleted: Deleted | null }> {
  const { backupId, keep, reasons } = decision
  if (keep) return { ...decision, deleted: null }
  if (refused !== null) return kept(backupId, refused)
  const bucket = clients.backups
  const folder = { prefix: clients.config.BACKUP_PREFIX, backupId }
  if (dryRun) return { ...decision, deleted: await sizeOfFolder(bucket, folder) }
  // The ledger was looked at a while ago; a run may have begun since that needs this very backup.
  const retired = await whileLedgerStands(clients, async (connection, held) => {
    signal?.throwIfAborted()
    const ledger = await readLedger(connection, clients, endOf)
    if (ledger.refused !== null) return ledger.refused
    if (ledger.neededBy(backupId).length > 0) return 'an active run needs it'
    const [label] = ledger.labelsOf(backupId)
    if (label !== undefined) return labelled(label)
    const gone = await retireBackup(bucket, folder, { reasons, at: clients.now(), held })
    if (gone !== 'pinned') await removeNote(connection, backupId)
    return gone
  })
  if (typeof retired === 'string') return kept(backupId, retired)
  if (retired.failures > 0) return { ...kept(backupId, 'its manifest cannot be deleted'), deleted: retired }
  return { ...decision, deleted: await clearRetired(bucket, folder, { deleted: retired, signal }) }
}

function kept(backupId: string, reason: string): Decision & { deleted: null } {
  return { backupId, keep: true, reasons: [reason], deleted: null }
}
