import type { CopiedFile } from '../../backup/sections/files.ts'
import type { Fence } from '../../ledger/fence.ts'
import { atOnce } from '../../s3/at-once.ts'
import type { Bucket } from '../../s3/bucket.ts'
import type { CopyLimits } from '../../s3/copy-source.ts'
import type { Version } from '../../s3/delete.ts'
import { sharedCheck } from '../../s3/fence-check.ts'
import { haveSameContent, headObject } from '../../s3/head-object.ts'
import { type KeyRange, type ListedObject, listRange } from '../../s3/list.ts'
import { restoreObject } from './object.ts'
import type { RestoreTally } from './results.ts'

/** An object of the backup, where its copy and its target are, and what is at the target now. */
type Restoring = { file: CopiedFile; copy: string; target: string; live: ListedObject | undefined }

type PieceToRestore = {
  range: KeyRange
  /** By the target's full key. */
  files: ReadonlyMap<string, CopiedFile>
  copyOf: (file: CopiedFile) => string
  isExtra: (key: string) => boolean
  /** Asked in the order of the keys. Null: whatever is there may be overwritten. */
  mayOverwrite: ((version: Version) => Promise<boolean>) | null
}

type PieceOptions = { tally: RestoreTally; fence: Fence; limits: CopyLimits; onCopied: () => Promise<void> }

/** Objects copied at the same time, as in a backup. */
const concurrency = 32

/**
 * Puts the objects of one piece back, and tallies what became of each. Gives how many objects lie in its range that the
 * backup does not hold. What was written is read from a listing made afterwards. Each copy is made over what was listed,
 * and over nothing else.
 * @throws as restoreObject and the fence do
 */
export async function restorePiece(
  { files, backup }: { files: Bucket; backup: Bucket },
  piece: PieceToRestore,
  { tally, fence, limits, onCopied }: PieceOptions,
): Promise<number> {
  const mayOverwriteAll = piece.mayOverwrite === null
  const before = await survey(files, piece)
  const { toCopy, doubtful } = await decide(piece, before.present, tally)
  const check = sharedCheck(fence)
  const answers = await atOnce(
    toCopy,
    async (restoring, signal) => {
      const etag = await putBack({ files, backup }, { restoring, mayOverwriteAll }, { check, limits, signal })
      await onCopied()
      return etag
    },
    { concurrency, signal: fence.signal },
  )

  const after = toCopy.length === 0 ? before : await survey(files, piece)
  for (const [index, restoring] of toCopy.entries()) {
    const { file, target, live } = restoring
    const answer = answers[index]
    const now = after.present.get(target)
    if (now?.size === file.size && now.etag === answer) tally.restored(file)
    else if (answer !== 'changed' && (now === undefined || now.etag === live?.etag))
      tally.failed(target, 'NotCopied')
    else if (answer === 'changed' && isAsBackedUp(now, file))
      tally.restored(file) // its own answer was lost
    else doubtful.push({ ...restoring, live: now })
  }
  await settle({ files, backup }, doubtful, { tally, signal: fence.signal })
  return after.extra
}

/** Gives the ETag of what was made, or 'changed'. What may be overwritten anyway is tried again over what is there now. */
async function putBack(
  { files, backup }: { files: Bucket; backup: Bucket },
  { restoring, mayOverwriteAll }: { restoring: Restoring; mayOverwriteAll: boolean },
  { check, limits, signal }: { check: Fence['check']; limits: CopyLimits; signal: AbortSignal },
): Promise<string | 'changed'> {
  const { file, copy } = restoring
  const source = { bucket: backup.name, key: copy, size: file.size, etag: file.copyEtag }
  const target = { bucket: files.name, key: restoring.target }
  const { storageClass } = file
  let expected = { etag: restoring.live?.etag ?? null }
  for (let left = mayOverwriteAll ? limits.tries : 1; ; left--) {
    await check()
    const answer = await restoreObject(
      files.s3,
      { source, target, expected, storageClass },
      { limits, signal },
    )
    if (answer !== 'changed' || left === 1) return answer
    expected = { etag: (await headObject(files.s3, target))?.ETag ?? null }
  }
}

/** What has to be copied, and what may not be overwritten because it would be lost. */
async function decide(
  { files, copyOf, mayOverwrite }: PieceToRestore,
  present: ReadonlyMap<string, ListedObject>,
  tally: RestoreTally,
): Promise<{ toCopy: Restoring[]; doubtful: Restoring[] }> {
  const toCopy: Restoring[] = []
  const doubtful: Restoring[] = []
  for (const [target, file] of files) {
    const live = present.get(target)
    const restoring = { file, copy: copyOf(file), target, live }
    if (isAsBackedUp(live, file)) tally.unchanged(file)
    else if (live === undefined || mayOverwrite === null || (await mayOverwrite(live))) toCopy.push(restoring)
    else doubtful.push(restoring)
  }
  return { toCopy, doubtful }
}

/** Where ETags do not tell, the object may be the backup's all the same, put back by an earlier try of this step. */
async function settle(
  { files, backup }: { files: Bucket; backup: Bucket },
  doubtful: readonly Restoring[],
  { tally, signal }: { tally: RestoreTally; signal: AbortSignal },
): Promise<void> {
  const same = await atOnce(
    doubtful,
    async ({ file, copy, target, live }) =>
      live?.size === file.size &&
      (await haveSameContent(
        files.s3,
        { bucket: backup.name, key: copy },
        { bucket: files.name, key: target },
      )),
    { concurrency, signal },
  )
  for (const [index, { file, target }] of doubtful.entries()) {
    if (same[index]) tally.unchanged(file)
    else tally.leftAlone(target)
  }
}

/** Equal in size and ETag: to the source that was backed up, or to the copy, which an earlier restore may have left. */
export function isAsBackedUp(live: ListedObject | undefined, file: CopiedFile): boolean {
  return live?.size === file.size && (live.etag === file.etag || live.etag === file.copyEtag)
}

/** Which of the piece's objects exist, and how many others. */
async function survey(
  bucket: Bucket,
  { range, files, isExtra }: PieceToRestore,
): Promise<{ present: Map<string, ListedObject>; extra: number }> {
  const present = new Map<string, ListedObject>()
  let extra = 0
  for await (const page of listRange(bucket, range)) {
    for (const object of page) {
      if (files.has(object.key)) present.set(object.key, object)
      else if (isExtra(object.key)) extra++
    }
  }
  return { present, extra }
}
