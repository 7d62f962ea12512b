import * as z from 'zod'
import { findJson, findJsonLines } from '../../backup/documents/read.ts'
import { putJson, putJsonLines } from '../../backup/documents/write.ts'
import { writeOnce } from '../../backup/documents/write-once.ts'
import { backupKeys, workKeys } from '../../backup/layout.ts'
import { Warning } from '../../backup/manifest.ts'
import { CopiedFile } from '../../backup/sections/files.ts'
import type { Clients } from '../../clients.ts'
import { ReadBackMismatch } from '../../errors.ts'
import type { Fence } from '../../ledger/fence.ts'
import { atOnce } from '../../s3/at-once.ts'
import { copyObject } from '../../s3/copy.ts'
import { type CopyLimits, copyLimits } from '../../s3/copy-source.ts'
import { sharedCheck } from '../../s3/fence-check.ts'
import { type ListedObject, listRange } from '../../s3/list.ts'
import {
  type FilesBatch,
  type ListedFile,
  listedFiles,
  type Piece,
  rangeBelow,
  readPieces,
} from '../pieces.ts'
import { type CopiesRefusal, checkCopies } from './check-copies.ts'
import { warnOfNotCarried } from './object-properties.ts'

type Tools = Pick<Clients, 'files' | 'backups' | 'config'>

/**
 * `filesResult`: what one batch copied. `vanished`: objects that were listed and no longer existed. `changed`: objects
 * that had changed since, and were copied in their newer version. `bytes` of the objects copied. `warnings`: of the first
 * batch alone, what copies leave behind.
 */
export const CopyResult = z.strictObject({
  batch: z.number().int().nonnegative(),
  objects: z.number().int().nonnegative(),
  bytes: z.number().int().nonnegative(),
  vanished: z.number().int().nonnegative(),
  changed: z.number().int().nonnegative(),
  warnings: z.array(Warning).default([]),
})
export type CopyResult = z.output<typeof CopyResult>

/**
 * Objects copied at the same time; and after how many of them the progress is told. The state machine has 8 batches at
 * work: 256 copies at once are the 3,500 per second that S3 takes below one prefix when each is answered in 73 ms.
 */
const concurrency = 32
const tellEvery = 250

/**
 * Copies the objects of one batch into the backup, on S3's side, preserved ones too, and checks the copies against a
 * listing. Writes `filesCopied` for each piece and `filesResult` for the batch, each once: of two invocations that do so,
 * the second takes what the first wrote. Copies are written once too, so a repeat, and an invocation that wakes up late,
 * change nothing that was copied: see copyObject.
 * @param progress is told the objects done and those of the pieces begun so far
 * @throws ReadBackMismatch when a copy is missing or is not what S3 said it had copied
 * @throws BackupIncomplete, StoreUnavailable, NotPermitted as copyObject does; RunLost, OutOfTime as the fence does
 * @see docs/decisions.md#copies-of-files-are-written-once-as-well
 * @see docs/decisions.md#files-are-copied-from-where-they-live-every-night
 */
export async function copyFiles(
  tools: Tools,
  { backupId, ...batch }: FilesBatch & { backupId: string },
  progress: (done: number, total: number) => Promise<void>,
  fence: Fence,
  limits: CopyLimits = copyLimits,
): Promise<CopyResult> {
  const { backups: work } = tools
  const { filesResult, filesCopied } = workKeys(batch.run)
  const earlier = await findJson(work, filesResult(batch.batch), CopyResult)
  if (earlier !== undefined) return earlier

  const result: CopyResult = {
    batch: batch.batch,
    objects: 0,
    bytes: 0,
    vanished: 0,
    changed: 0,
    warnings: [],
  }
  let done = 0
  let total = 0
  for await (const piece of readPieces(work, batch, listedFiles)) {
    total += piece.files.length
    if (piece.list === 0) result.warnings = await warnOfNotCarried(tools, piece.files)
    const onCopied = async () => {
      if (++done % tellEvery === 0) await progress(done, total)
    }
    const recorded = filesCopied(piece.list)
    const copies =
      (await findJsonLines(work, recorded, CopiedFile)) ??
      (await copyPiece(tools, { backupId, piece, recorded }, { onCopied, fence, limits }))
    addCopies(result, piece, copies)
    done = total
    await progress(done, total)
  }
  return await writeOnce(
    result,
    (options) => putJson(work, filesResult(batch.batch), result, { ...options, signal: fence.signal }),
    () => findJson(work, filesResult(batch.batch), CopyResult),
  )
}

type CopyOptions = { onCopied: () => Promise<void>; fence: Fence; limits: CopyLimits }

/** Gives the copies as they are recorded, be it by another invocation that was faster. */
async function copyPiece(
  { files, backups: work, config }: Tools,
  { backupId, piece, recorded }: { backupId: string; piece: Piece<ListedFile>; recorded: string },
  { onCopied, fence, limits }: CopyOptions,
): Promise<CopiedFile[]> {
  const keys = backupKeys(config.BACKUP_PREFIX, backupId)
  const check = sharedCheck(fence)
  const taken = await objectsIn(work, rangeBelow(keys.file(''), piece.range))
  const findRecorded = () => findJsonLines(work, recorded, CopiedFile)
  try {
    const outcomes = await atOnce(
      piece.files,
      async ({ key, size, etag, storageClass }, signal) => {
        await check()
        const copied = await copyObject(
          work.s3,
          {
            source: { bucket: files.name, key: `${config.FILES_PREFIX}${key}`, size, etag, storageClass },
            bucket: work.name,
            keyOf: (copy) => keys.file(key, copy),
            there: taken.get(keys.file(key)),
            mayFollow: async () => {
              if ((await findRecorded()) !== undefined) throw new Recorded()
            },
          },
          { limits, signal },
        )
        await onCopied()
        return copied && { key, ...copied }
      },
      { concurrency, signal: fence.signal },
    )
    const copies = outcomes.filter((outcome) => outcome !== undefined)
    await checkCopies(work, { keys, range: piece.range, copies }, refusal)
    await fence.check()
    return await writeOnce(
      copies,
      (options) => putJsonLines(work, recorded, copies, { ...options, signal: fence.signal }),
      findRecorded,
    )
  } catch (cause) {
    const first = cause instanceof Recorded ? await findRecorded() : undefined
    if (first === undefined) throw cause
    return first
  }
}

/** Another invocation has copied the piece: from then on its files may be wiped, or replaced, and no version is followed. */
class Recorded extends Error {}

function addCopies(result: CopyResult, { files }: Piece<ListedFile>, copies: readonly CopiedFile[]): void {
  const listed = new Map(files.map(({ key, etag }) => [key, etag]))
  for (const { key, size, etag } of copies) {
    result.objects++
    result.bytes += size
    if (etag !== listed.get(key)) result.changed++
  }
  result.vanished += files.length - copies.length
}

async function objectsIn(
  backup: Clients['backups'],
  range: Parameters<typeof listRange>[1],
): Promise<Map<string, ListedObject>> {
  const objects = new Map<string, ListedObject>()
  for await (const page of listRange(backup, range))
    for (const object of page) objects.set(object.key, object)
  return objects
}

const refusal: CopiesRefusal = {
  Refusal: ReadBackMismatch,
  expected: ({ size, copyEtag }) => `${size} bytes with ETag ${copyEtag} were copied`,
  missing: (count, of) => `${count} of ${of} copies are not in the backup although S3 said they were made`,
  advice: { other: 'Nothing was wiped; start again', missing: 'Nothing was wiped; start again' },
}
