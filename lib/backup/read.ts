import pMap from 'p-map'
import { BackupDamaged, BackupTooNew, NotFound, NotPermitted } from '../errors.ts'
import { type Bucket, exists } from '../s3/bucket.ts'
import { listFolders } from '../s3/list.ts'
import type { Authenticity } from '../signature.ts'
import { checkBackupId, isBackupId } from './backup-id.ts'
import { lateProblems, manifestProblems } from './consistency.ts'
import { DocumentDamaged, type Read, readDocument, refuse } from './documents/backup-document.ts'
import type { HasTime } from './documents/in-time.ts'
import { lastAttempt } from './late.ts'
import { backupKeys } from './layout.ts'
import { Late, Manifest, type Seen } from './manifest.ts'
import { withLate } from './merge-late.ts'

/**
 * A backup as it is restored: its manifest with the parts, sequences and totals of the late file that counts in place.
 * `late` is that file's n; null: rows did not change between the backup and the wipe, or nothing was wiped. `authentic` is
 * the worse of the two documents.
 */
export type Backup = Manifest & { late: number | null; authentic: Authenticity; seen: Seen }

/**
 * What is known about a backup's documents from elsewhere; what is not known is looked for in its folder. `hasTime`: asked before
 * one is parsed, which ends with NoTime then.
 */
export type Known = {
  manifest?: string | undefined
  late?: Seen['late'] | undefined
  hasTime?: HasTime | undefined
}

/**
 * Whether an error is about this one backup, so that it must not hide the others: it is damaged, of a newer version, or S3
 * refuses one of its objects (encrypted with a key of somebody else, or archived).
 */
export function isAboutOne(error: unknown): error is BackupDamaged | BackupTooNew | NotPermitted {
  return error instanceof BackupDamaged || error instanceof BackupTooNew || error instanceof NotPermitted
}

/** Folders that are looked at, and ids that are named, when an id is not there. */
const [lookedAt, named] = [20, 5]

/**
 * Reads a backup. Every reader goes through here, because manifest and late file are the backup only together, and because
 * both are checked here: by themselves, against each other, and against the folder they lie in. What is not checked here
 * is what lies in the parts: that is done as they are loaded, or by verifyBackup.
 *
 * Sums and digests make damage visible, signatures make edits visible: who may write to the bucket can edit consistently
 * (a part, its digest, every sum), but cannot sign. So a signed backup is what was written; of one that is not signed,
 * or with a key that is unknown here, nobody knows, and `authentic` says so.
 * @param known documents that were other ones when the ledger noted them are refused; of late files the noted one counts
 * @throws NotFound when there is no such sealed backup, InvalidRequest when the id cannot be one
 * @throws BackupDamaged naming the document and what is wrong with it, BackupTooNew
 */
export async function readBackup(
  bucket: Bucket,
  prefix: string,
  backupId: string,
  known: Known = {},
): Promise<Backup> {
  const backup = await findBackup(bucket, prefix, backupId, known)
  if (backup !== null) return backup
  const others = await othersThan(bucket, prefix)
  throw new NotFound(
    `There is no sealed backup ${backupId} below s3://${bucket.name}/${prefix}: without a manifest it is none. ${others}`,
  )
}

/** As readBackup, but null when there is no such sealed backup. */
export async function findBackup(
  bucket: Bucket,
  prefix: string,
  backupId: string,
  known: Known = {},
): Promise<Backup | null> {
  checkBackupId(backupId)
  const read = await readManifest(bucket, prefix, backupId, known.hasTime)
  if (read === null) return null
  const { document: manifest, sha256, authentic } = read
  if (known.manifest !== undefined && known.manifest !== sha256) {
    const key = backupKeys(prefix, backupId).manifest
    refuse(bucket, key, ['it is not the one that was there when the run was planned'])
  }
  const found = await findLateOf(bucket, prefix, read, known)
  if (found === null) return { ...manifest, late: null, authentic, seen: { manifest: sha256, late: null } }
  const { attempt } = found.document
  const seen = { manifest: sha256, late: { attempt, sha256: found.sha256 } }
  return { ...withLate(manifest, found.document), authentic, seen }
}

/**
 * What differs from a signed manifest by the late file that counts, for a step that writes the next one, which has to
 * repeat it; null when there is none.
 * @param known of late files, what the ledger noted: see readBackup
 * @throws BackupDamaged, BackupTooNew
 * @see docs/decisions.md#without-the-ledger-the-highest-late-file-counts
 */
export async function findLate(
  bucket: Bucket,
  prefix: string,
  manifest: Manifest,
  known?: Known['late'],
): Promise<Late | null> {
  const found = await findLateOf(bucket, prefix, { document: manifest, authentic: 'signed' }, { late: known })
  return found?.document ?? null
}

async function findLateOf(
  bucket: Bucket,
  prefix: string,
  { document: manifest, authentic }: Pick<Read<Manifest>, 'document' | 'authentic'>,
  { late: known, hasTime }: Known,
): Promise<Read<Late> | null> {
  const { backupId } = manifest
  const keys = backupKeys(prefix, backupId)
  const attempt = known === undefined ? await lastAttempt(bucket, keys) : (known?.attempt ?? 0)
  if (attempt === 0) return null
  const key = keys.late(attempt)
  const late = await readLate(bucket, key, hasTime)
  if (known && known.sha256 !== late.sha256)
    refuse(bucket, key, ['it is not the one that the ledger noted when it was written'])
  if (authentic === 'signed' && late.authentic !== 'signed')
    refuse(bucket, key, [`it is not signed (${late.authentic}), but the manifest is: somebody put it there`])
  refuse(bucket, key, lateProblems(late.document, manifest, { prefix, backupId, attempt }))
  return late
}

/**
 * The manifest that a run itself sealed, as it was before any late file; null: the run has not sealed it yet.
 * @throws BackupDamaged when it is not signed, or not of this run
 */
export async function findOwnManifest(
  bucket: Bucket,
  prefix: string,
  { backupId, runId }: { backupId: string; runId: string },
): Promise<Manifest | null> {
  const read = await readManifest(bucket, prefix, backupId)
  if (read === null) return null
  const { document: manifest, authentic } = read
  const key = backupKeys(prefix, backupId).manifest
  if (manifest.runId !== runId) refuse(bucket, key, [`it was written by another run, ${manifest.runId}`])
  if (authentic !== 'signed') refuse(bucket, key, [`the run ${runId} did not sign it (${authentic})`])
  return manifest
}

/** Whether the folder holds a manifest, which alone makes it a backup. */
export async function isSealed(bucket: Bucket, prefix: string, backupId: string): Promise<boolean> {
  return exists(bucket, backupKeys(prefix, backupId).manifest)
}

async function readManifest(
  bucket: Bucket,
  prefix: string,
  backupId: string,
  hasTime?: HasTime,
): Promise<Read<Manifest> | null> {
  const key = backupKeys(prefix, backupId).manifest
  try {
    const read = await readDocument(bucket, key, Manifest, hasTime)
    refuse(bucket, key, manifestProblems(read.document, { prefix, backupId }))
    return read
  } catch (error) {
    if (error instanceof NotFound) return null
    throw error
  }
}

/** A listed late file that cannot be read must not look like a backup that is not there. */
async function readLate(bucket: Bucket, key: string, hasTime?: HasTime): Promise<Read<Late>> {
  try {
    return await readDocument(bucket, key, Late, hasTime)
  } catch (cause) {
    if (!(cause instanceof NotFound)) throw cause
    throw new DocumentDamaged(bucket, key, 'it should be there, but is not', { cause })
  }
}

/** Which backups there are instead: the newest, and not as if they were all. */
async function othersThan(bucket: Bucket, prefix: string): Promise<string> {
  const folders = (await listFolders(bucket, prefix)).filter(isBackupId).sort().reverse() // ids begin with their time
  const looks = await pMap(folders.slice(0, lookedAt), async (backupId) =>
    (await isSealed(bucket, prefix, backupId)) ? [backupId] : [],
  )
  const sealed = looks.flat().slice(0, named)
  if (sealed.length > 0) return `The newest ${sealed.length === 1 ? 'is' : 'are'} ${sealed.join(', ')}`
  return folders.length > lookedAt ? `Nor is one of the newest ${lookedAt} folders` : 'There is none at all'
}
