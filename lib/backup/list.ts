import pMap from 'p-map'
import type { Bucket } from '../s3/bucket.ts'
import { listFolders } from '../s3/list.ts'
import { isBackupId } from './backup-id.ts'
import { type HasTime, readInTime } from './documents/in-time.ts'
import type { Manifest } from './manifest.ts'
import { type Backup, findBackup, isAboutOne } from './read.ts'
import { isPinned } from './retention/pin.ts'
import { newestFirst } from './retention/retention.ts'
import type { SealedBackup } from './sealed-backup.ts'
import { sum } from './sections/section.ts'
import {
  type listedFields,
  type ManifestSections,
  type SectionName,
  sectionNames,
  totals,
} from './sections.ts'

type BackupList = {
  /** Those of the page. */
  backups: SealedBackup[]
  /** Sealed, but the manifest cannot be understood, or S3 refuses to give it. */
  unreadable: { backupId: string; reason: string }[]
}

/** Where a page of the list begins and ends: after the id `before`, with `limit` folders at most. */
export type Page = { limit: number; before?: string | undefined }

/**
 * The sealed backups below `prefix`, the newest first. What has no manifest is no backup (G4), so it is not listed.
 * @throws StoreUnavailable when S3 does not answer, NotPermitted when it refuses the listing
 */
export async function listBackups(bucket: Bucket, prefix: string): Promise<BackupList> {
  const ids = await idsOf(bucket, prefix)
  return listOf(await pMap(ids, (backupId) => readSummary(bucket, prefix, backupId), { concurrency }))
}

/**
 * A page of the same list; only its manifests are read. The order is that of the ids, which begin with the time.
 * @returns `next`: the `before` of the next page, null when there is none. A page may hold fewer than `limit`: folders
 *   without a manifest count, and it ends where there is no time for more
 */
export async function pageOfBackups(
  bucket: Bucket,
  prefix: string,
  { limit, before }: Page,
  hasTime: HasTime,
): Promise<BackupList & { next: string | null }> {
  const ids = (await idsOf(bucket, prefix)).filter((id) => before === undefined || id < before)
  const found = await readInTime(ids.slice(0, limit), { hasTime, concurrency }, (backupId, goesOn) =>
    readSummary(bucket, prefix, backupId, goesOn),
  )
  const next = ids.length > found.length ? (ids[found.length - 1] ?? null) : null
  return { ...listOf(found), next }
}

/** A backup, and whether it is pinned is not asked. */
export type Unpinned = Omit<SealedBackup, 'pinned'>

/**
 * The newest of the same list, `limit` folders at most, and no more of them than there is time for.
 * @returns `older`: the folders that were not looked at, by their ids the older ones
 */
export async function newestBackups(
  bucket: Bucket,
  prefix: string,
  { limit, hasTime }: { limit: number; hasTime: HasTime },
): Promise<{ backups: Unpinned[]; older: string[] }> {
  const ids = await idsOf(bucket, prefix)
  const found = await readInTime(ids.slice(0, limit), { hasTime, concurrency }, (backupId, goesOn) =>
    readUnpinned(bucket, prefix, backupId, goesOn),
  )
  return { backups: byTime(found), older: ids.slice(found.length) }
}

/** Those of these that can be read, as they are listed; `unseen`: those of them that there was no time for. @throws as listBackups */
export async function backupsOf(
  bucket: Bucket,
  prefix: string,
  { ids, hasTime }: { ids: readonly string[]; hasTime: HasTime },
): Promise<{ backups: SealedBackup[]; unseen: string[] }> {
  const found = await readInTime(ids, { hasTime, concurrency }, (backupId, goesOn) =>
    readSummary(bucket, prefix, backupId, goesOn),
  )
  return { backups: listOf(found).backups, unseen: ids.slice(found.length) }
}

/** Each takes three requests, and a manifest's room in memory. */
const concurrency = 16

/** The newest first. */
async function idsOf(bucket: Bucket, prefix: string): Promise<string[]> {
  return (await listFolders(bucket, prefix)).filter(isBackupId).sort().reverse()
}

function listOf(found: readonly (SealedBackup | Unreadable | null)[]): BackupList {
  return {
    backups: byTime(found),
    unreadable: found.filter((backup) => backup !== null && 'reason' in backup),
  }
}

/** What was uploaded stands where its data does, and not where it was sealed. */
function byTime<Summary extends Unpinned>(found: readonly (Summary | Unreadable | null)[]): Summary[] {
  const backups = found.filter((backup): backup is Summary => backup !== null && 'sealedAt' in backup)
  return newestFirst(backups).toSorted(
    (one, other) => Date.parse(other.startedAt) - Date.parse(one.startedAt),
  )
}

type Unreadable = BackupList['unreadable'][number]

async function readSummary(
  bucket: Bucket,
  prefix: string,
  backupId: string,
  hasTime?: HasTime,
): Promise<SealedBackup | Unreadable | null> {
  const backup = await readUnpinned(bucket, prefix, backupId, hasTime)
  if (backup === null || 'reason' in backup) return backup
  try {
    return { ...backup, pinned: await isPinned(bucket, prefix, backupId) }
  } catch (error) {
    if (!isAboutOne(error)) throw error
    return { backupId, reason: error.message }
  }
}

async function readUnpinned(
  bucket: Bucket,
  prefix: string,
  backupId: string,
  hasTime?: HasTime,
): Promise<Unpinned | Unreadable | null> {
  try {
    const backup = await findBackup(bucket, prefix, backupId, { hasTime })
    return backup && listedBackup(backup)
  } catch (error) {
    if (!isAboutOne(error)) throw error
    return { backupId, reason: error.message }
  }
}

/** What a backup holds, in a few numbers. */
export function listedBackup({ late, authentic, ...manifest }: Backup): Unpinned {
  const { backupId, environment, strategy, startedAt, sealedAt, rehearsedAt, database, imported } = manifest
  return {
    backupId,
    environment,
    strategy,
    startedAt,
    sealedAt,
    rehearsedAt,
    ...listed(manifest),
    bytes: sum(sectionNames.map((name) => bytesOf(name, manifest[name]))),
    consistency: database?.consistency ?? null,
    lateAttempts: late ?? 0,
    authentic,
    ...(imported && { imported }),
  }
}

function listed(manifest: Manifest): Pick<SealedBackup, keyof ReturnType<typeof listedFields>> {
  const of = <Name extends SectionName>(name: Name, section: ManifestSections[Name] | null) =>
    totals[name].listed(section)
  return Object.assign({}, ...sectionNames.map((name) => of(name, manifest[name])))
}

function bytesOf<Name extends SectionName>(name: Name, section: ManifestSections[Name] | null): number {
  return section === null ? 0 : totals[name].bytes(section)
}
