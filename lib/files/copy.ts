import pMap from 'p-map'
import { z } from 'zod'
import { backupKeys, workKeys } from '../backup/layout.ts'
import { findJson, putJson, putJsonLines } from '../backup/storage.ts'
import type { Clients } from '../clients.ts'
import { ReadBackMismatch } from '../errors.ts'
import { listRange } from '../s3/list.ts'
import { type CopyLimits, copyLimits, copyObject } from './copy-object.ts'
import { type Batch, type CopiedFile, type Piece, rangeBelow, readPieces } from './pieces.ts'

type Tools = Pick<Clients, 'files' | 'backups' | 'config'>

/**
 * `filesResult`: what one batch copied. `vanished`: objects that were listed and no longer existed. `changed`: objects
 * that had changed since, and were copied in their newer version. `bytes` of the objects copied.
 */
export const CopyResult = z.strictObject({
  batch: z.number().int().nonnegative(),
  objects: z.number().int().nonnegative(),
  bytes: z.number().int().nonnegative(),
  vanished: z.number().int().nonnegative(),
  changed: z.number().int().nonnegative(),
})
export type CopyResult = z.output<typeof CopyResult>

/** Objects copied at the same time; and after how many of them the progress is told. */
const concurrency = 64
const tellEvery = 250

/**
 * Copies the objects of one batch into the backup, on S3's side, preserved ones too, and checks the copies against a
 * listing. Writes `filesCopied` for each piece and `filesResult` for the batch. Repeating it gives what the first time
 * gave: a batch with a result is not copied again.
 * @param progress is told the objects done and those of the pieces begun so far
 * @throws ReadBackMismatch when a copy is missing or is not what S3 said it had copied
 * @throws BackupIncomplete, StoreUnavailable, NotPermitted as copyObject does
 */
export async function copyFiles(
  { files, backups: work, config }: Tools,
  { backupId, ...batch }: Batch & { backupId: string },
  progress: (done: number, total: number) => Promise<void>,
  limits: CopyLimits = copyLimits,
): Promise<CopyResult> {
  const { filesResult, filesCopied } = workKeys(batch.run)
  const earlier = await findJson(work, filesResult(batch.batch), CopyResult)
  if (earlier !== undefined) return earlier

  const result: CopyResult = { batch: batch.batch, objects: 0, bytes: 0, vanished: 0, changed: 0 }
  let done = 0
  let total = 0
  for await (const piece of readPieces(work, batch)) {
    total += piece.files.length
    const outcomes = await pMap(
      piece.files,
      async (file) => {
        const source = { ...file, bucket: files.bucket, key: `${config.FILES_PREFIX}${file.key}` }
        const target = { bucket: work.bucket, key: backupKeys(config.BACKUP_PREFIX, backupId).file(file.key) }
        const copied = await copyObject(work.s3, { source, target }, limits)
        if (++done % tellEvery === 0) await progress(done, total)
        if (copied === undefined) return undefined
        if (copied.etag !== file.etag) result.changed++
        return { key: file.key, ...copied }
      },
      { concurrency },
    )
    const copies = outcomes.filter((outcome) => outcome !== undefined)
    await verifyCopies({ backups: work, config }, { backupId, piece, copies })
    await putJsonLines(work, filesCopied(piece.list), copies)
    result.objects += copies.length
    result.bytes += copies.reduce((sum, { size }) => sum + size, 0)
    result.vanished += outcomes.length - copies.length
    await progress(done, total)
  }
  await putJson(work, filesResult(batch.batch), result)
  return result
}

/** Compares the copies with a listing of where they are: one request per 1,000. */
async function verifyCopies(
  { backups: backup, config }: Pick<Tools, 'backups' | 'config'>,
  { backupId, piece, copies }: { backupId: string; piece: Piece; copies: readonly CopiedFile[] },
): Promise<void> {
  const prefix = backupKeys(config.BACKUP_PREFIX, backupId).file('')
  const missing = new Map(copies.map((copy) => [`${prefix}${copy.key}`, copy]))
  for await (const page of listRange(backup, rangeBelow(prefix, piece.range))) {
    for (const { key, size, etag } of page) {
      const copy = missing.get(key)
      if (copy === undefined) continue
      if (copy.size !== size || copy.copyEtag !== etag) {
        throw new ReadBackMismatch(
          `s3://${backup.bucket}/${key} has ${size} bytes and ETag ${etag}, but ${copy.size} bytes with ETag ${copy.copyEtag} were copied. Nothing was wiped; start again`,
        )
      }
      missing.delete(key)
    }
  }
  const [first] = missing.keys()
  if (first === undefined) return
  throw new ReadBackMismatch(
    `${missing.size} of ${copies.length} copies are not in the backup although S3 said they were made, for example s3://${backup.bucket}/${first}. Nothing was wiped; start again`,
  )
}
