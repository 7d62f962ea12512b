import pMap from 'p-map'
import { z } from 'zod'
import { mergeLate } from '../database/reconcile.ts'
import { BackupDamaged, BackupTooNew, messageOf, NotFound } from '../errors.ts'
import { listFolders } from '../s3/list.ts'
import { checkBackupId, isBackupId } from './backup-id.ts'
import { lateProblems, manifestProblems } from './consistency.ts'
import { digestOf } from './digest.ts'
import { exists } from './exists.ts'
import { lastAttempt } from './late.ts'
import { backupKeys } from './layout.ts'
import { Late, Manifest } from './manifest.ts'
import { getJson, type Storage } from './storage.ts'

/**
 * A backup as it is restored: its manifest with the parts, sequences and totals of the highest `late-<n>.json` in place.
 * `late` is that n; null: rows did not change between the backup and the wipe, or nothing was wiped.
 */
export type Backup = Manifest & { late: number | null }

/** A manifest or a late file is not what was written; `key` is the object's. */
export class DocumentDamaged extends BackupDamaged {
  readonly key: string
  constructor({ bucket }: Storage, key: string, problem: string, options?: ErrorOptions) {
    super(
      `s3://${bucket}/${key} is damaged: ${problem}. Use another backup, or bring back an earlier version of the object`,
      options,
    )
    this.key = key
  }
}

/** The current format of manifests and late files; documents say theirs in `version`. */
const currentVersion = 1

/** Folders that are looked at, and ids that are named, when an id is not there. */
const [lookedAt, named] = [20, 5]

/**
 * Reads a backup. Every reader goes through here, because manifest and late file are the backup only together, and because
 * both are checked here: by themselves, against each other, and against the folder they lie in. What is not checked here
 * is what lies in the parts: that is done as they are loaded, or by verifyBackup.
 *
 * Sums and digests, also one of each document, make random damage and careless edits visible. Who may write to the bucket and edits consistently
 * (a part, its digest, every sum) is not noticed: that takes the bucket's own means, versions and a lock.
 * @throws NotFound when there is no such sealed backup, InvalidRequest when the id cannot be one
 * @throws BackupDamaged naming the document and what is wrong with it, BackupTooNew
 */
export async function readBackup(storage: Storage, prefix: string, backupId: string): Promise<Backup> {
  const backup = await findBackup(storage, prefix, backupId)
  if (backup !== null) return backup
  const sealed = await newestSealed(storage, prefix)
  const others = sealed.length === 0 ? 'There is none at all' : `There are ${sealed.join(', ')}`
  throw new NotFound(
    `There is no sealed backup ${backupId} below s3://${storage.bucket}/${prefix}: without a manifest it is none. ${others}`,
  )
}

/** As readBackup, but null when there is no such sealed backup. */
export async function findBackup(storage: Storage, prefix: string, backupId: string): Promise<Backup | null> {
  checkBackupId(backupId)
  const manifest = await readManifest(storage, prefix, backupId)
  if (manifest === null) return null
  const late = await findLate(storage, prefix, manifest)
  return late === null ? { ...manifest, late: null } : merge(manifest, late)
}

/**
 * What differs from a manifest by its highest `late-<n>.json`, for a step that writes the next one, which has to repeat
 * it; null when there is none.
 * @throws BackupDamaged, BackupTooNew
 */
export async function findLate(storage: Storage, prefix: string, manifest: Manifest): Promise<Late | null> {
  const { backupId } = manifest
  const keys = backupKeys(prefix, backupId)
  const attempt = await lastAttempt(storage, keys.root)
  if (attempt === 0) return null
  const late = await readLate(storage, keys.late(attempt))
  refuse(storage, keys.late(attempt), lateProblems(late, manifest, { prefix, backupId, attempt }))
  return late
}

/** Whether the folder holds a manifest, which alone makes it a backup. */
export async function isSealed(storage: Storage, prefix: string, backupId: string): Promise<boolean> {
  return exists(storage, backupKeys(prefix, backupId).manifest)
}

async function readManifest(storage: Storage, prefix: string, backupId: string): Promise<Manifest | null> {
  const key = backupKeys(prefix, backupId).manifest
  try {
    const manifest = await readDocument(storage, key, Manifest)
    refuse(storage, key, manifestProblems(manifest, { prefix, backupId }))
    return manifest
  } catch (error) {
    if (error instanceof NotFound) return null
    throw error
  }
}

/** A listed late file that cannot be read must not look like a backup that is not there. */
async function readLate(storage: Storage, key: string): Promise<Late> {
  try {
    return await readDocument(storage, key, Late)
  } catch (cause) {
    if (!(cause instanceof NotFound)) throw cause
    throw new DocumentDamaged(storage, key, 'it is listed, but not there', { cause })
  }
}

async function readDocument<Schema extends z.ZodType>(
  storage: Storage,
  key: string,
  schema: Schema,
): Promise<z.output<Schema>> {
  const document = await getJson(storage, key, z.unknown()).catch((cause: unknown) => {
    if (!(cause instanceof SyntaxError)) throw cause
    throw new DocumentDamaged(storage, key, `it is not JSON (${messageOf(cause)})`, { cause })
  })
  // Before the schema, which would only say that it knows no such fields.
  const { data: newer } = z.object({ version: z.number().gt(currentVersion) }).safeParse(document)
  if (newer !== undefined) {
    throw new BackupTooNew(
      `s3://${storage.bucket}/${key} has the version ${newer.version}, but this tool reads ${currentVersion}: it was made by a newer version. Update the tool`,
    )
  }
  const { data: digested } = z.looseObject({ digest: z.string() }).safeParse(document)
  if (digested !== undefined && digestOf(document as object) !== digested.digest) {
    refuse(storage, key, ['it is not what its own digest was made of'])
  }
  const parsed = schema.safeParse(document)
  if (parsed.success) return parsed.data
  refuse(
    storage,
    key,
    parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'document'}: ${message}`),
  )
  throw parsed.error // a failed parse has at least one issue
}

/** Three problems say enough; a table that is missing makes hundreds. */
function refuse(storage: Storage, key: string, problems: Iterable<string>): void {
  const first: string[] = []
  for (const problem of problems) if (first.push(problem) === 3) break
  if (first.length > 0) throw new DocumentDamaged(storage, key, first.join('; '))
}

function merge(manifest: Manifest, late: Late): Backup {
  return {
    ...manifest,
    database: manifest.database && mergeDatabase(manifest.database, late),
    cache: manifest.cache && mergeCache(manifest.cache, late),
    late: late.attempt,
  }
}

function mergeDatabase(database: NonNullable<Manifest['database']>, late: Late): Manifest['database'] {
  const tables = mergeLate(database.tables, late.tables)
  return {
    ...database,
    tables,
    rows: tables.reduce((sum, { rows }) => sum + rows, 0),
    bytes: tables.flatMap(({ parts }) => parts).reduce((sum, { bytes }) => sum + bytes, 0),
    sequences: late.sequences,
  }
}

/** Late parts come last: of a key that is there twice, the later line counts. */
function mergeCache(cache: NonNullable<Manifest['cache']>, late: Late): Manifest['cache'] {
  if (late.cache === undefined) return cache
  return { ...cache, keys: cache.keys + late.cache.added, parts: [...cache.parts, ...late.cache.parts] }
}

async function newestSealed(storage: Storage, prefix: string): Promise<string[]> {
  const folders = (await listFolders(storage, prefix)).filter(isBackupId).sort().reverse() // ids begin with their time
  const looks = await pMap(folders.slice(0, lookedAt), async (backupId) =>
    (await isSealed(storage, prefix, backupId)) ? [backupId] : [],
  )
  return looks.flat().slice(0, named)
}
