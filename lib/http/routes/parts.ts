import { GetObjectCommand } from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { backupKeys } from '../../backup/layout.ts'
import { namedObjects } from '../../backup/named-objects.ts'
import { readIndexLines } from '../../backup/part/files-index.ts'
import type { Backup } from '../../backup/read.ts'
import { type Allowed, checkOwn } from '../../backup/trust.ts'
import type { Clients } from '../../clients.ts'
import { NotFound } from '../../errors.ts'
import type { Bucket } from '../../s3/bucket.ts'
import { listSizes } from '../../s3/list.ts'
import type { BackupPart } from '../answers/backup.ts'
import { backupAsNoted } from '../request/backup-name.ts'

/** Seconds that a presigned address is good for: to begin a download, which may then take longer. */
const expiresIn = 300

/** All objects that the backup names, but for the copies of files: those are in its index. */
export async function partsOf(bucket: Bucket, prefix: string, backup: Backup): Promise<BackupPart[]> {
  const { root, manifest, late } = backupKeys(prefix, backup.backupId)
  const keys = backup.late === null ? [manifest] : [manifest, late(backup.late)]
  const documents: BackupPart[] = []
  for await (const { key, size } of listSizes(bucket, keys)) {
    if (!keys.includes(key)) continue // listed by what its key begins with
    documents.push({ part: key.slice(root.length), bytes: size, rows: null, kind: 'manifest' })
  }
  const parts = namedObjects(backup).map(({ section: kind, key, bytes, what, count }) => ({
    part: key.slice(root.length),
    bytes,
    rows: what === 'ranges' ? null : count,
    kind,
  }))
  return [...documents, ...parts]
}

/**
 * An address from which one object can be downloaded without a token.
 * @param names ways in which the object may have been named; the first that the backup names counts
 * @throws ForeignBackup for a backup of another environment, unless it is allowed
 * @throws NotFound when the backup names no such object, even if there is one
 */
export async function presignPart(
  clients: Clients,
  { backupId, names, ...allowed }: { backupId: string; names: readonly string[] } & Allowed,
): Promise<{ part: string; url: string; expiresAt: string }> {
  const { backups: bucket, config, now } = clients
  const backup = await backupAsNoted(clients, backupId)
  checkOwn(backup, config, allowed)
  const { root } = backupKeys(config.BACKUP_PREFIX, backupId)
  const part = await findPart(bucket, backup, config.BACKUP_PREFIX, names)
  if (part === undefined) {
    throw new NotFound(
      `The backup ${backupId} names no object "${names[0]}". GET /v1/backups/${backupId} lists its parts`,
    )
  }
  const fileName = part.slice(part.lastIndexOf('/') + 1)
  const command = new GetObjectCommand({
    Bucket: bucket.name,
    Key: `${root}${part}`,
    // As a download in every browser, whatever the object says it is.
    ResponseContentDisposition: `attachment; filename*=UTF-8''${encodeURIComponent(fileName)}`,
  })
  const url = await getSignedUrl(bucket.s3, command, { expiresIn })
  return { part, url, expiresAt: new Date(now().getTime() + expiresIn * 1000).toISOString() }
}

async function findPart(
  bucket: Bucket,
  backup: Backup,
  prefix: string,
  names: readonly string[],
): Promise<string | undefined> {
  const parts = await partsOf(bucket, prefix, backup)
  const { root, file } = backupKeys(prefix, backup.backupId)
  const files = file('').slice(root.length)
  for (const name of names) {
    if (parts.some(({ part }) => part === name)) return name
    if (!name.startsWith(files)) continue
    const path = name.slice(files.length)
    const copy = await findInIndex(bucket, backup, path)
    if (copy !== undefined) return file(path, copy).slice(root.length)
  }
  return undefined
}

/** An index may name a million files, so its lines are only searched for the path, and only what holds it is parsed. Gives which copy counts. */
async function findInIndex(bucket: Bucket, { files }: Backup, path: string): Promise<number | undefined> {
  if (!files?.index) return undefined
  const written = JSON.stringify(path)
  for await (const line of readIndexLines(bucket, files.index)) {
    if (!line.includes(written)) continue
    const file: { key: string; copy?: number } = JSON.parse(line.toString())
    if (file.key === path) return file.copy ?? 1
  }
  return undefined
}
