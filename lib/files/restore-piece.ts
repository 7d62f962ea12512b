import pMap from 'p-map'
import type { Storage } from '../backup/storage.ts'
import { type KeyRange, type ListedObject, listRange } from '../s3/list.ts'
import type { CopyLimits } from './copy-object.ts'
import type { Version } from './delete-objects.ts'
import type { CopiedFile } from './pieces.ts'
import { haveSameContent, restoreObject } from './restore-object.ts'
import type { RestoreTally } from './restored.ts'

/** An object of the backup, where its copy and its target are, and what is at the target now. */
type Restoring = { file: CopiedFile; copy: string; target: string; live: ListedObject | undefined }

export type PieceToRestore = {
  range: KeyRange
  /** By the target's full key. */
  files: ReadonlyMap<string, CopiedFile>
  copyOf: (path: string) => string
  isExtra: (key: string) => boolean
  /** Asked in the order of the keys. Null: whatever is there may be overwritten. */
  mayOverwrite: ((version: Version) => Promise<boolean>) | null
}

type Options = { tally: RestoreTally; limits: CopyLimits; onCopied: () => Promise<void> }

/** Objects copied at the same time. */
const concurrency = 64

/**
 * Puts the objects of one piece back, and tallies what became of each. Gives how many objects lie in its range that the
 * backup does not hold. What was written is read from a listing made afterwards.
 * @throws as restoreObject does
 */
export async function restorePiece(
  { files, backup }: { files: Storage; backup: Storage },
  piece: PieceToRestore,
  { tally, limits, onCopied }: Options,
): Promise<number> {
  const before = await survey(files, piece)
  const { toCopy, doubtful } = await decide(piece, before.present, tally)
  const answers = await pMap(
    toCopy,
    async ({ file, copy, target, live }) => {
      const source = { bucket: backup.bucket, key: copy, size: file.size, etag: file.copyEtag }
      const expected = piece.mayOverwrite === null ? undefined : { etag: live?.etag ?? null }
      const data = { source, target: { bucket: files.bucket, key: target }, expected }
      const etag = await restoreObject(files.s3, data, limits)
      await onCopied()
      return etag
    },
    { concurrency },
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
  await settle({ files, backup }, doubtful, tally)
  return after.extra
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
    const restoring = { file, copy: copyOf(file.key), target, live }
    if (isAsBackedUp(live, file)) tally.result.unchanged++
    else if (live === undefined || mayOverwrite === null || (await mayOverwrite(live))) toCopy.push(restoring)
    else doubtful.push(restoring)
  }
  return { toCopy, doubtful }
}

/** Where ETags do not tell, the object may be the backup's all the same, put back by an earlier try of this step. */
async function settle(
  { files, backup }: { files: Storage; backup: Storage },
  doubtful: readonly Restoring[],
  tally: RestoreTally,
): Promise<void> {
  const same = await pMap(
    doubtful,
    async ({ file, copy, target, live }) =>
      live?.size === file.size &&
      (await haveSameContent(
        files.s3,
        { bucket: backup.bucket, key: copy },
        { bucket: files.bucket, key: target },
      )),
    { concurrency },
  )
  for (const [index, { target }] of doubtful.entries()) {
    if (same[index]) tally.result.unchanged++
    else tally.leftAlone(target)
  }
}

/** Equal in size and ETag: to the source that was backed up, or to the copy, which an earlier restore may have left. */
function isAsBackedUp(live: ListedObject | undefined, file: CopiedFile): boolean {
  return live?.size === file.size && (live.etag === file.etag || live.etag === file.copyEtag)
}

/** Which of the piece's objects exist, and how many others. */
async function survey(
  storage: Storage,
  { range, files, isExtra }: PieceToRestore,
): Promise<{ present: Map<string, ListedObject>; extra: number }> {
  const present = new Map<string, ListedObject>()
  let extra = 0
  for await (const page of listRange(storage, range)) {
    for (const object of page) {
      if (files.has(object.key)) present.set(object.key, object)
      else if (isExtra(object.key)) extra++
    }
  }
  return { present, extra }
}
