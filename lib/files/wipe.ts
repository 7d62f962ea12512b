import * as z from 'zod'
import { getJsonLines } from '../backup/documents/read.ts'
import { findResult, putResult } from '../backup/documents/results.ts'
import { filesKeys, workKeys } from '../backup/layout.ts'
import { CopiedFile } from '../backup/sections/files.ts'
import type { Clients } from '../clients.ts'
import type { Fence } from '../ledger/fence.ts'
import type { Bucket } from '../s3/bucket.ts'
import { deleteObjects, type Version } from '../s3/delete.ts'
import { type KeyRange, listRange } from '../s3/list.ts'
import { isPreserved } from './list.ts'
import {
  type FilesBatch,
  type ListedFile,
  listedFiles,
  type Piece,
  rangeBelow,
  readPieces,
} from './pieces.ts'

type Tools = Pick<Clients, 'files' | 'backups' | 'config'>

const count = z.number().int().nonnegative()

/**
 * `filesWiped`: what became of one batch. `objects` and `bytes`: those of the batch that are gone, whoever deleted them.
 * `changed`: they have another ETag than the backup's copy, and survive. `appeared`: they lie in the batch's stretch of
 * keys but not in the batch, and survive. `failures`: S3 refused to delete them; `failed` names 20 with S3's code.
 */
export const FilesWiped = z.strictObject({
  batch: count,
  objects: count,
  bytes: count,
  changed: count,
  appeared: count,
  failures: count,
  failed: z.array(z.strictObject({ key: z.string(), code: z.string() })),
})
export type FilesWiped = z.output<typeof FilesWiped>

const failuresNamed = 20

/**
 * Deletes the objects of one batch in the version that was copied (`backup`), or else that was listed. What is
 * preserved, changed or came later stays. The result is read from a listing made afterwards, not from S3's answers, so
 * a repeat after a lost answer gives the same; a batch that has a result without failures is not touched again.
 * @param progress is told the objects that were dealt with and those of the pieces begun so far
 * @throws StoreUnavailable or NotPermitted when a whole request fails. A single object that cannot be deleted does not
 *   throw: see `failures`
 */
export async function wipeFiles(
  { files, backups: work, config }: Tools,
  { backup, preserve, ...batch }: FilesBatch & { backup: boolean; preserve: readonly string[] },
  progress: (done: number, total: number) => Promise<void>,
  fence: Fence,
): Promise<FilesWiped> {
  const key = workKeys(batch.run).filesWiped(batch.batch)
  const earlier = await findResult(work, key, FilesWiped)
  if (earlier?.complete) return earlier.result

  const stays = (full: string) =>
    full.startsWith(filesKeys.own) || isPreserved(full.slice(config.FILES_PREFIX.length), preserve)
  const result: FilesWiped = {
    batch: batch.batch,
    objects: 0,
    bytes: 0,
    changed: 0,
    appeared: 0,
    failures: 0,
    failed: [],
  }
  let done = 0
  for await (const piece of readPieces(work, batch, listedFiles)) {
    const covered = await coveredBy(work, { run: batch.run, piece, backup })
    const known = covered.map((file) => ({ ...file, key: `${config.FILES_PREFIX}${file.key}` }))
    const range = rangeBelow(config.FILES_PREFIX, piece.range)
    await wipePiece(files, { range, known, stays }, { result, fence })
    done += known.length
    await progress(done, done)
  }
  await fence.check()
  const complete = result.failures === 0
  return await putResult(work, key, FilesWiped, { result, complete, signal: fence.signal })
}

/** The objects of a piece that may be deleted: with a backup only what was copied. */
async function coveredBy(
  work: Bucket,
  { run, piece, backup }: { run: FilesBatch['run']; piece: Piece<ListedFile>; backup: boolean },
): Promise<(Version & { size: number })[]> {
  return backup ? await getJsonLines(work, workKeys(run).filesCopied(piece.list), CopiedFile) : piece.files
}

async function wipePiece(
  files: Bucket,
  piece: { range: KeyRange; known: readonly (Version & { size: number })[]; stays: (key: string) => boolean },
  { result, fence }: { result: FilesWiped; fence: Fence },
): Promise<void> {
  const wanted = piece.known.filter(({ key }) => !piece.stays(key))
  // Not every S3-compatible server looks at the ETag of a deletion, so we look first; on S3 the deletion itself does.
  const before = await presentIn(files, piece)
  const unchanged = wanted.filter(({ key, etag }) => before.etags.get(key) === etag)
  const refused = await deleteObjects(files, unchanged, fence)
  const after = unchanged.length === 0 ? before : await presentIn(files, piece)
  for (const { key, size, etag } of wanted) {
    const present = after.etags.get(key)
    if (present === undefined) {
      result.objects++
      result.bytes += size
    } else if (present !== etag) {
      result.changed++
    } else {
      result.failures++
      if (result.failed.length < failuresNamed)
        result.failed.push({ key, code: refused.get(key) ?? 'NotDeleted' })
    }
  }
  result.appeared += after.appeared
}

/** The ETags of the piece's objects that exist now, and how many others lie in its range and are not kept on purpose. */
async function presentIn(
  files: Bucket,
  { range, known, stays }: Parameters<typeof wipePiece>[1],
): Promise<{ etags: Map<string, string>; appeared: number }> {
  const keys = new Set(known.map(({ key }) => key))
  const etags = new Map<string, string>()
  let appeared = 0
  for await (const page of listRange(files, range)) {
    for (const { key, etag } of page) {
      if (keys.has(key)) etags.set(key, etag)
      else if (!stays(key)) appeared++
    }
  }
  return { etags, appeared }
}
