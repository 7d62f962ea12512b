import type * as z from 'zod'
import { lateProblems, manifestProblems } from '../../../lib/backup/consistency.ts'
import { firstOf, parseDocument } from '../../../lib/backup/documents/backup-document.ts'
import { documentBounds } from '../../../lib/backup/documents/json.ts'
import { maxAttempt } from '../../../lib/backup/layout.ts'
import { Late, Manifest } from '../../../lib/backup/manifest.ts'
import { withLate } from '../../../lib/backup/merge-late.ts'
import { namedObjects } from '../../../lib/backup/named-objects.ts'
import type { Clients } from '../../../lib/clients.ts'
import { BackupUnsigned, ForeignBackup, InvalidRequest } from '../../../lib/errors.ts'
import { changed, type OpenedFolder } from './opened-folder.ts'

type Tools = Pick<Clients, 'backups' | 'config'>

/**
 * The backup of which the folder was made, as its documents tell it: names, types, counts and sums of rows are believed only because
 * a key that is known here signed them.
 * @throws BackupDamaged, BackupTooNew, BackupUnsigned, ForeignBackup, InvalidRequest
 * @see docs/decisions.md#an-upload-is-a-backup-once-it-is-proved
 */
export async function readOriginal(tools: Tools, folder: OpenedFolder): Promise<Manifest> {
  const { ENVIRONMENT: environment } = tools.config
  const manifest = await documentIn(tools, { folder, name: 'manifest.json', schema: Manifest })
  const { backupId } = manifest
  if (manifest.environment !== environment)
    throw new ForeignBackup(
      `The folder holds the backup ${backupId} of the environment "${manifest.environment}", and this is "${environment}". It is uploaded there alone. Nothing was written`,
    )
  const prefix = prefixOf(manifest)
  refuseProblems('manifest.json', manifestProblems(manifest, { prefix, backupId }))
  if (manifest.database !== null && manifest.version === 1)
    throw new InvalidRequest(
      `The backup ${backupId} is of version 1 of the format, in which nothing is written any more. Nothing was written; put its rows back by psql, with load.sql of the folder`,
    )
  const attempt = await lastAttempt(folder)
  if (attempt === 0) return manifest
  const name = `late-${attempt}.json`
  const late = await documentIn(tools, { folder, name, schema: Late })
  refuseProblems(name, lateProblems(late, manifest, { prefix, backupId, attempt }))
  const { late: _, ...merged } = withLate(manifest, late)
  return merged
}

type Document<Schema> = { folder: OpenedFolder; name: string; schema: Schema }

async function documentIn<Schema extends z.ZodType<Manifest | Late>>(
  { backups }: Tools,
  { folder, name, schema }: Document<Schema>,
): Promise<z.output<Schema>> {
  const text = await folder.text(name, documentBounds.bytes)
  const { document, authentic } = parseDocument(text, schema, {
    where: name,
    signing: backups.signing,
    damaged: (problem, options) => changed(name, problem.slice(0, 500).toWellFormed(), options),
  })
  if (authentic === 'signed') return document
  throw new BackupUnsigned(
    `${name} in the folder is ${authentic === 'unsigned' ? 'not signed' : 'signed with a key that SIGNING_KEYS does not hold'}, so nobody knows what it says. Nothing was written; add the key with which the backup was signed, or put the rows back by psql, with load.sql of the folder`,
  )
}

function refuseProblems(name: string, problems: Iterable<string>): void {
  const first = firstOf(problems)
  if (first.length > 0) throw changed(name, first.join('; '))
}

/** Where the backup lay, which may have been another place: as the keys of its objects say. */
function prefixOf(manifest: Manifest): string {
  const [first] = namedObjects(manifest)
  return first?.key.split(`${manifest.backupId}/`)[0] ?? ''
}

async function lastAttempt(folder: OpenedFolder): Promise<number> {
  const attempts = (await folder.names()).map((name) => Number(/^late-([1-9]\d{0,4})\.json$/.exec(name)?.[1]))
  return Math.max(0, ...attempts.filter((attempt) => attempt <= maxAttempt))
}
