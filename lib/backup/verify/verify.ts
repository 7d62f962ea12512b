import { counted } from '../../amounts.ts'
import { StoreUnavailable } from '../../errors.ts'
import type { Bucket } from '../../s3/bucket.ts'
import { compareKeys } from '../../s3/key-order.ts'
import { listRange } from '../../s3/list.ts'
import type { Authenticity } from '../../signature.ts'
import { DocumentDamaged } from '../documents/backup-document.ts'
import { type BackupKeys, backupKeys, kindOf } from '../layout.ts'
import { namedObjects } from '../named-objects.ts'
import { type Backup, type Known, readBackup } from '../read.ts'
import { isOwnDocument, judgeUnnamed } from './extras.ts'
import { checkIndex } from './files-index.ts'
import { type BatchFound, Findings } from './findings.ts'
import { partsOf } from './share.ts'

/** `ok`: every object that a restore would read is there and is what was written. */
export type Verification = Omit<BatchFound, 'accounted'> & {
  backupId: string
  ok: boolean
  /** Who made it, as far as its signature says; null: its documents could not be read. */
  authentic: Authenticity | null
  verifiedAt: string
}

/**
 * What a backup is, by what all of its batches found (see verifyBatch): its documents and the files' index are read, and
 * the folder is looked through for what the backup does not name. See readBackup for what cannot be noticed. Nothing is written.
 * @param known what Count saw of the backup, see readBackup
 * @throws NotFound, InvalidRequest, BackupTooNew as readBackup does; a damaged manifest is a finding
 * @throws StoreUnavailable when the batches did not look at every object, or as for NotPermitted when one cannot be read
 */
export async function judgeBackup(
  bucket: Bucket,
  {
    prefix,
    backupId,
    known = {},
    batches,
  }: { prefix: string; backupId: string; known?: Known; batches: readonly BatchFound[] },
  now: () => Date = () => new Date(),
): Promise<Verification> {
  const findings = new Findings()
  for (const batch of batches) findings.merge(batch)
  const { accounted } = findings.told
  const backup = await readOrNote(bucket, { prefix, backupId, known }, findings)
  if (backup !== null) {
    const keys = backupKeys(prefix, backupId)
    const { files } = backup
    const index = files?.index ? await checkIndex(bucket, files, files.index) : null
    if (index !== null) findings.looked(index)
    refuseGap(backup, { accounted, isIndexSound: !index?.problem })
    const copies = index?.problem ? null : (index?.copies ?? new Set<number>())
    const named = new Set(namedObjects(backup).map(({ key }) => key))
    for await (const key of keysBeside(bucket, keys, copies))
      if (!named.has(key) && !isOwnDocument(keys, backup, key)) findings.add(judgeUnnamed(keys, backup, key))
  }
  const { accounted: _, problems, extra, ...told } = findings.told
  const authentic = backup?.authentic ?? null
  // What is wrong with the index comes first: it says why copies were not looked at.
  const isIndex = ({ key }: { key: string }) => key === backup?.files?.index?.key
  const inOrder = (a: { key: string }, b: { key: string }) =>
    Number(isIndex(b)) - Number(isIndex(a)) || compareKeys(a.key, b.key)
  return {
    ...{ backupId, ok: told.found.problems === 0, authentic, ...told },
    ...{ problems: problems.toSorted(inOrder), extra: extra.toSorted(inOrder) },
    verifiedAt: now().toISOString(),
  }
}

async function readOrNote(
  bucket: Bucket,
  { prefix, backupId, known }: { prefix: string; backupId: string; known: Known },
  findings: Findings,
): Promise<Backup | null> {
  try {
    return await readBackup(bucket, prefix, backupId, known)
  } catch (error) {
    if (!(error instanceof DocumentDamaged)) throw error
    findings.add({ key: error.key, problem: 'changed', detail: error.message })
    return null
  }
}

/** Whether all was looked at must not depend on how the batches were cut, or on what one of them could not read. */
function refuseGap(
  backup: Backup,
  { accounted, isIndexSound }: { accounted: number; isIndexSound: boolean },
): void {
  const expected = partsOf(backup).length + (isIndexSound ? (backup.files?.objects ?? 0) : 0)
  if (accounted === expected) return
  throw new StoreUnavailable(
    `Of the ${counted(expected, 'object')} of the backup ${backup.backupId}, ${accounted} were looked at, so nothing is known of it. Verify it again`,
  )
}

/**
 * Every key of a backup's folder but those of copies, which the batches list.
 * @param copies under which names copies lie; null: without a sound index nothing can be said about them
 */
async function* keysBeside(
  bucket: Bucket,
  keys: BackupKeys,
  copies: ReadonlySet<number> | null,
): AsyncGenerator<string> {
  const folders = [...(copies ?? [])].map((copy) => keys.file('', copy))
  const folderOf = (key: string) =>
    copies === null && kindOf(keys, key) === 'copy of a file'
      ? key.slice(0, key.indexOf('/', keys.root.length) + 1)
      : folders.find((folder) => key.startsWith(folder))
  let after: string | undefined
  for (let isAtEnd = false; !isAtEnd; ) {
    isAtEnd = true
    for await (const page of listRange(bucket, { prefix: keys.root, after })) {
      const at = page.findIndex(({ key }) => folderOf(key) !== undefined)
      for (const { key } of at === -1 ? page : page.slice(0, at)) yield key
      if (at === -1) continue
      after = `${folderOf(page[at]?.key ?? '')}${last}`
      isAtEnd = false
      break
    }
  }
}

/** After every other character of a key. */
const last = '\u{10ffff}'
