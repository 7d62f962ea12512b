import { pMapIterable } from 'p-map'
import type { Bucket } from '../../s3/bucket.ts'
import { listRange, listSizes } from '../../s3/list.ts'
import { DocumentDamaged } from '../documents/backup-document.ts'
import { type BackupKeys, backupKeys } from '../layout.ts'
import { type Backup, type Known, readBackup } from '../read.ts'
import type { CopiedFile } from '../sections/files.ts'
import { judgeUnnamed } from './extras.ts'
import { checkIndex } from './files-index.ts'
import { type BatchFound, type Checked, Findings } from './findings.ts'
import { checkFile, checkPart, missing, type NamedPart, sizeProblem } from './object.ts'
import { partsOf, Share } from './share.ts'

/** Objects that are read at the same time. A part holds what it is decompressed to, a copy next to nothing. */
const atOnce = { parts: 2, copies: 16 }

type Job = { part: NamedPart; size: number } | { file: CopiedFile; key: string; size: number }

/** Copies that one batch reads, with the stretch of paths that they lie in, and under which names copies lie at all. */
type Stretch = {
  files: CopiedFile[]
  after: string | undefined
  isLast: boolean
  copies: ReadonlySet<number>
}

/**
 * Reads the objects of one batch to their ends and compares them with what the manifest, the late file and the files' index
 * say. Nothing is written. What cannot be understood of documents or index is left to judgeBackup. Memory: the lines of the
 * batch's copies.
 * @param known what Count saw of the backup, see readBackup
 * @param report is told the objects done and those of the batch
 * @throws NotFound, InvalidRequest, BackupTooNew as readBackup does
 * @throws StoreUnavailable, NotPermitted when an object cannot be read, which says nothing about it
 */
export async function verifyBatch(
  bucket: Bucket,
  { prefix, backupId, known = {}, batch }: { prefix: string; backupId: string; known?: Known; batch: number },
  report: (done: number, total: number) => Promise<void>,
  batchSeconds?: number,
): Promise<BatchFound> {
  const findings = new Findings()
  const { told } = findings
  const held = await readUnlessDamaged(bucket, { prefix, backupId, known })
  if (held === null) return told
  const keys = backupKeys(prefix, backupId)
  const parts = partsOf(held)
  const shareOf = () => new Share(held, batch, batchSeconds)
  const shareOfCopies = () => {
    const share = shareOf()
    for (const part of parts) share.holds(part)
    return share
  }
  const share = shareOf()
  const own = parts.filter((part) => share.holds(part))
  const stretch = await stretchOf(bucket, held, shareOfCopies)
  const total = own.length + (stretch?.files.length ?? 0)
  async function checkAll(jobs: AsyncIterable<Job>, concurrency: number): Promise<void> {
    for await (const checked of pMapIterable(jobs, (job) => check(bucket, job), { concurrency })) {
      findings.looked(checked)
      await report(told.objects, total)
    }
  }
  await checkAll(partJobs(bucket, { keys, parts: own }, findings), atOnce.parts)
  if (stretch !== null)
    await checkAll(copyJobs(bucket, { keys, backup: held as Backup, stretch }, findings), atOnce.copies)
  return told
}

async function readUnlessDamaged(
  bucket: Bucket,
  { prefix, backupId, known }: { prefix: string; backupId: string; known: Known },
): Promise<Backup | null> {
  try {
    return await readBackup(bucket, prefix, backupId, known)
  } catch (error) {
    if (error instanceof DocumentDamaged) return null
    throw error
  }
}

/** null: the batch reads none, or the index is damaged. @param shareOf begins anew, after the parts */
async function stretchOf(
  bucket: Bucket,
  { files }: Pick<Backup, 'files'>,
  shareOf: () => Share,
): Promise<Stretch | null> {
  if (!files?.index) return null
  let stretch: Omit<Stretch, 'copies'> = { files: [], after: undefined, isLast: true }
  const { problem, copies } = await checkIndex(bucket, files, files.index, () => {
    const share = shareOf()
    stretch = { files: [], after: undefined, isLast: true }
    return (file) => {
      if (share.holds({ bytes: file.size })) stretch.files.push(file)
      else if (stretch.files.length === 0) stretch.after = file.key
      else stretch.isLast = false
    }
  })
  return problem === null && stretch.files.length > 0 ? { ...stretch, copies } : null
}

async function* partJobs(
  bucket: Bucket,
  { keys, parts }: { keys: BackupKeys; parts: readonly NamedPart[] },
  findings: Findings,
): AsyncGenerator<Job> {
  const waiting = new Map(parts.map((part) => [part.key, part]))
  if (waiting.size === 0) return
  for await (const { key, size } of listSizes(bucket, keys.parts)) {
    const part = waiting.get(key)
    if (part === undefined) continue
    waiting.delete(key)
    yield { part, size }
  }
  for (const key of waiting.keys()) findings.missed(missing(key))
}

/** Lays the listing of a stretch beside its lines, and notes what is missing or not named. */
async function* copyJobs(
  bucket: Bucket,
  { keys, backup, stretch }: { keys: BackupKeys; backup: Backup; stretch: Stretch },
  findings: Findings,
): AsyncGenerator<Job> {
  const waiting = new Map(stretch.files.map((file) => [keys.file(file.key, file.copy), file]))
  const through = stretch.isLast ? undefined : stretch.files.at(-1)?.key
  for (const copy of stretch.copies) {
    const keyOf = (path: string | undefined) => (path === undefined ? undefined : keys.file(path, copy))
    const range = { prefix: keys.file('', copy), after: keyOf(stretch.after), through: keyOf(through) }
    for await (const page of listRange(bucket, range)) {
      for (const { key, size } of page) {
        const file = waiting.get(key)
        waiting.delete(key)
        if (file !== undefined) yield { file, key, size }
        else findings.add(judgeUnnamed(keys, backup, key))
      }
    }
  }
  for (const key of waiting.keys()) findings.missed(missing(key))
}

async function check(bucket: Bucket, job: Job): Promise<Checked> {
  const [key, expected] = 'file' in job ? [job.key, job.file.size] : [job.part.key, job.part.bytes]
  const problem = sizeProblem(key, job.size, expected)
  if (problem !== null) return { problem, bytes: 0, byEtagOnly: false }
  return 'file' in job ? checkFile(bucket, key, job.file) : checkPart(bucket, job.part)
}
