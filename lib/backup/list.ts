import { ListObjectsV2Command } from '@aws-sdk/client-s3'
import pMap from 'p-map'
import { z } from 'zod'
import { messageOf, NotFound } from '../errors.ts'
import { lastAttempt } from './late.ts'
import { backupKeys } from './layout.ts'
import { Manifest } from './manifest.ts'
import { getJson, type Storage, storageError } from './storage.ts'

/** One sealed backup. A count is null when the backup's strategy left that store out. */
export type SealedBackup = {
  backupId: string
  environment: string
  strategy: string
  startedAt: string
  sealedAt: string
  rehearsedAt: string | null
  rows: number | null
  files: number | null
  keys: number | null
  /** Stored in the backup: database and cache compressed, files as they are. */
  bytes: number
  consistency: 'snapshot' | 'reconciled' | null
  /** How often parts were added because rows changed before the wipe took its lock. */
  lateAttempts: number
}

export type BackupList = {
  backups: SealedBackup[]
  /** Sealed, but the manifest cannot be understood. */
  unreadable: { backupId: string; reason: string }[]
}

/**
 * The sealed backups below `prefix`, the newest first. What has no manifest is no backup (G4), so it is not listed.
 * @throws StoreUnavailable or NotPermitted when the listing or a manifest cannot be read
 */
export async function listBackups(storage: Storage, prefix: string): Promise<BackupList> {
  const ids = (await listFolders(storage, prefix)).sort().reverse() // an id begins with its time
  const found = await pMap(ids, (backupId) => readBackup(storage, prefix, backupId), { concurrency: 16 })
  return {
    backups: found.filter((backup) => backup !== null && 'sealedAt' in backup),
    unreadable: found.filter((backup) => backup !== null && 'reason' in backup),
  }
}

async function readBackup(
  storage: Storage,
  prefix: string,
  backupId: string,
): Promise<SealedBackup | BackupList['unreadable'][number] | null> {
  const keys = backupKeys(prefix, backupId)
  try {
    const manifest = await getJson(storage, keys.manifest, Manifest)
    return summaryOf(manifest, await lastAttempt(storage, keys.root))
  } catch (error) {
    if (error instanceof NotFound) return null
    if (error instanceof SyntaxError || error instanceof z.ZodError)
      return { backupId, reason: explain(keys, error) }
    throw error
  }
}

function summaryOf(manifest: Manifest, lateAttempts: number): SealedBackup {
  const { backupId, environment, strategy, startedAt, sealedAt, rehearsedAt, database, files, cache } =
    manifest
  const cacheBytes = (cache?.parts ?? []).reduce((sum, part) => sum + part.bytes, 0)
  return {
    backupId,
    environment,
    strategy,
    startedAt,
    sealedAt,
    rehearsedAt,
    rows: database?.rows ?? null,
    files: files?.objects ?? null,
    keys: cache?.keys ?? null,
    bytes: (database?.bytes ?? 0) + (files?.bytes ?? 0) + cacheBytes,
    consistency: database?.consistency ?? null,
    lateAttempts,
  }
}

function explain(keys: ReturnType<typeof backupKeys>, error: SyntaxError | z.ZodError): string {
  const problem =
    error instanceof z.ZodError
      ? error.issues.map(({ path, message }) => `${path.join('.') || 'manifest'}: ${message}`).join('; ')
      : messageOf(error)
  return `${keys.manifest} is not a manifest of version 1: ${problem}. It was written by another version, or damaged; an earlier version of the object may still be in the bucket`
}

async function listFolders(storage: Storage, prefix: string): Promise<string[]> {
  const folders: string[] = []
  let token: string | undefined
  do {
    const page = new ListObjectsV2Command({
      Bucket: storage.bucket,
      Prefix: prefix,
      Delimiter: '/',
      ContinuationToken: token,
    })
    const answer = await storage.s3.send(page).catch((cause: unknown) => {
      throw storageError(storage, 'list', prefix, cause)
    })
    for (const { Prefix } of answer.CommonPrefixes ?? []) {
      if (Prefix !== undefined) folders.push(Prefix.slice(prefix.length, -1))
    }
    token = answer.NextContinuationToken
  } while (token !== undefined)
  return folders
}
