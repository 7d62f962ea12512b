import pMap from 'p-map'
import type { Clients } from '../../clients.ts'
import type { Bucket } from '../../s3/bucket.ts'
import { exists } from '../../s3/bucket.ts'
import { listFolders } from '../../s3/list.ts'
import { isBackupId } from '../backup-id.ts'
import { type HasTime, NoTime } from '../documents/in-time.ts'
import { backupKeys } from '../layout.ts'
import { findBackup, isAboutOne } from '../read.ts'
import { isPinned } from './pin.ts'
import type { Candidate } from './retention.ts'

/** What a folder below BACKUP_PREFIX is. `leftover`: what is left of a backup that was begun to be deleted. */
type BackupFolder =
  | (Candidate & { is: 'sealed'; hasTombstone: boolean })
  | { is: 'left'; backupId: string; reason: string }
  | { is: 'leftover'; backupId: string }
  | { is: 'no backup' }

type Where = Pick<Clients, 'backups' | 'config'>
/** When to read on no more: without time no folder is begun and no document that was fetched is parsed, by the signal no folder is begun. */
type Patience = { hasTime?: HasTime; signal?: AbortSignal | undefined }
/** What the ledger says of a backup: whether an active run needs it, the labels that keep it, and whether it does not know its run. */
type Said = {
  isNeeded: (backupId: string) => boolean
  labelsOf: (backupId: string) => readonly string[]
  isUnknown: (backup: { runId: string; sealedAt: string }) => boolean
}

/**
 * Reads every folder below BACKUP_PREFIX. `left`: a backup whose manifest cannot be understood or read, or
 * of another environment: nothing decides about it.
 * @throws StoreUnavailable when S3 does not answer, NotPermitted when it refuses the listing
 */
export async function readBackupFolders(
  clients: Where,
  said: Said,
  patience?: Patience,
): Promise<BackupFolder[]> {
  return readFolders(clients, said, await listBackupFolders(clients), patience)
}

/** The names of these folders, in the order of their ids, which begin with the time. @throws as readBackupFolders */
export async function listBackupFolders({ backups, config }: Where): Promise<string[]> {
  return (await listFolders(backups, config.BACKUP_PREFIX)).filter(isBackupId)
}

/** @throws as readBackupFolders; NoTime */
export async function readFolders(
  { backups, config }: Where,
  said: Said,
  ids: readonly string[],
  { hasTime, signal }: Patience = {},
): Promise<BackupFolder[]> {
  const about = { prefix: config.BACKUP_PREFIX, environment: config.ENVIRONMENT, hasTime, ...said }
  const together = { concurrency: foldersAtOnce, ...(signal && { signal }) }
  return pMap(ids, (backupId) => readFolder(backups, about, backupId), together)
}

/** Each takes four requests, one after the other, and its manifest's room in memory. */
export const foldersAtOnce = 8

async function readFolder(
  bucket: Bucket,
  about: { prefix: string; environment: string; hasTime: HasTime | undefined } & Said,
  backupId: string,
): Promise<BackupFolder> {
  const { prefix, isNeeded, hasTime } = about
  if (hasTime?.() === false) throw new NoTime()
  try {
    const hasTombstone = await exists(bucket, backupKeys(prefix, backupId).tombstone)
    const backup = await findBackup(bucket, prefix, backupId, { hasTime })
    if (backup === null) return hasTombstone ? { is: 'leftover', backupId } : { is: 'no backup' }
    const { environment, strategy, sealedAt, rehearsedAt, authentic } = backup
    const unproved = backup.warnings.some(({ code }) => code === 'NotProved')
    if (environment !== about.environment)
      return { is: 'left', backupId, reason: `it is a backup of the environment "${environment}"` }
    const pinned = await isPinned(bucket, prefix, backupId)
    const running = isNeeded(backupId)
    const isSigned = authentic === 'signed'
    const kept = { pinned, labels: about.labelsOf(backupId), running }
    const isImported = backup.imported !== undefined
    const isUnknown = isSigned && !isImported && about.isUnknown(backup)
    const of = { backupId, strategy, isImported, isSigned, isUnknown }
    const retained = { ...of, sealedAt, rehearsedAt, unproved, ...kept }
    return { is: 'sealed', ...retained, hasTombstone }
  } catch (error) {
    if (!isAboutOne(error)) throw error
    return { is: 'left', backupId, reason: error.message }
  }
}
