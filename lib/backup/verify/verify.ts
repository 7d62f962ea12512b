import { pMapIterable } from 'p-map'
import type { Bucket } from '../../s3/bucket.ts'
import { listRange } from '../../s3/list.ts'
import type { Authenticity } from '../../signature.ts'
import { DocumentDamaged } from '../documents/backup-document.ts'
import { type BackupKeys, backupKeys, kindOf } from '../layout.ts'
import { namedObjects } from '../named-objects.ts'
import { type Backup, type Known, readBackup } from '../read.ts'
import type { CopiedFile } from '../sections/files.ts'
import { isOwnDocument, judgeUnnamed } from './extras.ts'
import { checkIndex, seekCopies } from './files-index.ts'
import { type Extra, Findings, type ObjectProblem } from './findings.ts'
import { type Checked, checkFile, checkPart, missing, type NamedPart, sizeProblem } from './object.ts'

/**
 * `ok`: every object that a restore would read is there and is what was written. `objects` and `bytes` of those that were
 * looked at. Of `problems` and `extra`, 1,000 each are named and all are counted in `found`. `byEtagOnly`: files whose
 * content could not be compared with a digest, because S3 gave them an ETag that is none (KMS, copies in parts).
 */
export type Verification = {
  backupId: string
  ok: boolean
  /** Who made it, as far as its signature says; null: its documents could not be read. */
  authentic: Authenticity | null
  objects: number
  bytes: number
  problems: ObjectProblem[]
  extra: Extra[]
  found: { problems: number; extra: number }
  byEtagOnly: number
  verifiedAt: string
}

/** Objects that are read at the same time. */
const concurrency = 16

type Job = { part: NamedPart; size: number } | { file: CopiedFile; key: string; size: number }

/**
 * Reads every object of a backup to its end and compares it with what the manifest, the late file and the files' index
 * say; see readBackup for what cannot be noticed. Nothing is written. Memory does not grow with the data: one listing and
 * the files' index run side by side, and a few objects are read at a time.
 * @param known what Count saw of the backup, see readBackup
 * @param report is told the objects done and those there should be
 * @throws NotFound, InvalidRequest, BackupTooNew as readBackup does; a damaged manifest is a finding
 * @throws StoreUnavailable, NotPermitted when an object cannot be read, which says nothing about it
 */
export async function verifyBackup(
  bucket: Bucket,
  prefix: string,
  backupId: string,
  report: (done: number, total: number) => Promise<void>,
  now: () => Date = () => new Date(),
  known: Known = {},
): Promise<Verification> {
  const findings = new Findings()
  const sums = { objects: 0, bytes: 0, byEtagOnly: 0 }
  const backup = await readOrNote(bucket, { prefix, backupId, known }, findings)
  if (backup !== null) await verifyObjects(backup)
  const { problems, extra, found } = findings
  const verifiedAt = now().toISOString()
  const authentic = backup?.authentic ?? null
  return { backupId, ok: found.problems === 0, authentic, ...sums, problems, extra, found, verifiedAt }

  async function verifyObjects(backup: Backup): Promise<void> {
    const { files } = backup
    const total = partsOf(backup).length + (files?.objects ?? 0) + (files?.index ? 1 : 0)
    const tally = async ({ problem, bytes, byEtagOnly }: Checked) => {
      if (problem !== null) findings.add(problem)
      sums.objects++
      sums.bytes += bytes
      if (byEtagOnly) sums.byEtagOnly++
      await report(sums.objects, total)
    }
    const index = files?.index ? await checkIndex(bucket, files, files.index) : null
    if (index !== null) await tally(index)
    const copies = index?.problem ? null : (index?.copies ?? new Set<number>())
    const source = { backup, keys: backupKeys(prefix, backupId), copies }
    const jobs = jobsOf(bucket, source, findings)
    for await (const checked of pMapIterable(jobs, (job) => check(bucket, job), { concurrency }))
      await tally(checked)
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

/**
 * Lays the listing of the backup's folder beside what should be in it: gives what is to be read, and notes what is
 * missing or not named. `copies`: under which names copies lie; null: without a sound index nothing can be said about them.
 */
async function* jobsOf(
  bucket: Bucket,
  { backup, keys, copies }: { backup: Backup; keys: BackupKeys; copies: ReadonlySet<number> | null },
  findings: Findings,
): AsyncGenerator<Job> {
  const waiting = new Map(partsOf(backup).map((part) => [part.key, part]))
  const index = backup.files?.index ?? null
  const folders = [...(copies ?? [])].map((copy) => ({
    root: keys.file('', copy),
    seek: index && seekCopies(bucket, index, copy),
    noteMissing: (path: string) => findings.add(missing(keys.file(path, copy))),
  }))

  for await (const page of listRange(bucket, { prefix: keys.root })) {
    for (const { key, size } of page) {
      const part = waiting.get(key)
      if (part !== undefined) {
        waiting.delete(key)
        yield { part, size }
        continue
      }
      if (key === index?.key) continue // checkIndex has read it
      if (copies === null && kindOf(keys, key) === 'copy of a file') continue
      const folder = folders.find(({ root }) => key.startsWith(root))
      const file = await folder?.seek?.(key.slice(folder.root.length), folder.noteMissing)
      if (file !== undefined) yield { file, key, size }
      else if (!isOwnDocument(keys, backup, key)) findings.add(judgeUnnamed(keys, backup, key))
    }
  }
  for (const key of waiting.keys()) findings.add(missing(key))
  for (const { seek, noteMissing } of folders) await seek?.(null, noteMissing)
}

async function check(bucket: Bucket, job: Job): Promise<Checked> {
  const [key, expected] = 'file' in job ? [job.key, job.file.size] : [job.part.key, job.part.bytes]
  const problem = sizeProblem(key, job.size, expected)
  if (problem !== null) return { problem, bytes: 0, byEtagOnly: false }
  return 'file' in job ? checkFile(bucket, key, job.file) : checkPart(bucket, job.part)
}

/** All but the files' index. */
function partsOf(backup: Backup): NamedPart[] {
  return namedObjects(backup).flatMap(({ section, what, count, ...part }) =>
    section === 'files' ? [] : [{ ...part, holds: { what, count } }],
  )
}
