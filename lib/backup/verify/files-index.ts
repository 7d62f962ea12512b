import { BackupDamaged, messageOf, StoreUnavailable } from '../../errors.ts'
import type { Bucket } from '../../s3/bucket.ts'
import { compareKeys } from '../../s3/key-order.ts'
import type { Manifest } from '../manifest.ts'
import { type FilesIndex, readFilesIndex } from '../part/files-index.ts'
import type { CopiedFile } from '../sections/files.ts'
import { type Checked, checkPart, tries } from './object.ts'

type Files = NonNullable<Manifest['files']>

/**
 * Reads the files' index to its end: it is the object that the manifest names, and its lines are the manifest's count and
 * bytes, in S3's order, in which they can be laid beside a listing. While it is damaged it says nothing about the copies.
 * `copies`: under which names they lie, see backupKeys().file; nearly always only the first.
 */
export async function checkIndex(
  bucket: Bucket,
  files: Files,
  index: FilesIndex,
): Promise<Checked & { copies: ReadonlySet<number> }> {
  const copies = new Set([1])
  const part = { ...index, holds: { what: 'files', count: files.objects } as const }
  const checked = await checkPart(bucket, part, async () => {
    let [objects, bytes] = [0, 0]
    for await (const { size, copy = 1 } of copiesOf(bucket, index)) {
      copies.add(copy)
      objects++
      bytes += size
    }
    if (objects !== files.objects || bytes === files.bytes) return objects
    throw new BackupDamaged(`the files it names have ${bytes} bytes, the manifest says ${files.bytes}`)
  })
  if (checked.problem === null) return { ...checked, copies }
  const detail = `${checked.problem.detail}; so the copies of files could not be checked`
  return { ...checked, problem: { ...checked.problem, detail }, copies }
}

/**
 * Goes through the lines of a sound index that tell of copies under the `copy`-th name in step with a listing of those.
 * Each call goes on to `path` (null: to the end), tells `onPassed` the paths that come before it, and gives the line of
 * `path` itself, if there is one.
 */
export function seekCopies(bucket: Bucket, index: FilesIndex, copy: number) {
  const copies = steadily(bucket, index)
  let pending: IteratorResult<CopiedFile, undefined> | undefined
  return async (path: string | null, onPassed: (path: string) => void): Promise<CopiedFile | undefined> => {
    for (;;) {
      pending ??= await copies.next()
      if (pending.done) return undefined
      const file = pending.value
      if ((file.copy ?? 1) !== copy) {
        pending = undefined
        continue
      }
      if (path !== null && compareKeys(path, file.key) < 0) return undefined
      pending = undefined
      if (file.key === path) return file
      onPassed(file.key)
    }
  }
}

/**
 * The lines of an index that was found sound. It is read as slowly as the copies are, for hours maybe, and S3 ends such a
 * connection: then it is opened again and read on from where it was.
 */
async function* steadily(bucket: Bucket, index: FilesIndex): AsyncGenerator<CopiedFile, undefined> {
  let after: string | undefined
  for (let left = tries; ; left--) {
    try {
      for await (const file of copiesOf(bucket, index)) {
        if (after !== undefined && compareKeys(file.key, after) <= 0) continue
        after = file.key
        left = tries
        yield file
      }
      return
    } catch (cause) {
      if (!(cause instanceof BackupDamaged || cause instanceof StoreUnavailable)) throw cause
      if (left > 1) continue
      throw new StoreUnavailable(
        `s3://${bucket.name}/${index.key} was read once, but not again: ${messageOf(cause)}. Start again`,
        { cause },
      )
    }
  }
}

function copiesOf(bucket: Bucket, index: FilesIndex): AsyncGenerator<CopiedFile, undefined> {
  return readFilesIndex(bucket, index, ({ text, file, cause }) => {
    if (file !== null) return new BackupDamaged(`${index.key} names ${file.key} out of order, or twice`)
    return new BackupDamaged(`${index.key} holds a line that names no file: ${text.slice(0, 200)}`, { cause })
  })
}
