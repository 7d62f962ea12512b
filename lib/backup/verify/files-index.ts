import { BackupDamaged } from '../../errors.ts'
import type { Bucket } from '../../s3/bucket.ts'
import type { Manifest } from '../manifest.ts'
import { type FilesIndex, readFilesIndex } from '../part/files-index.ts'
import type { CopiedFile } from '../sections/files.ts'
import type { Checked } from './findings.ts'
import { checkPart } from './object.ts'

type Files = NonNullable<Manifest['files']>

/**
 * Reads the files' index to its end: it is the object that the manifest names, and its lines are the manifest's count and
 * bytes, in S3's order, in which they can be laid beside a listing. While it is damaged it says nothing about the copies.
 * `copies`: under which names they lie, see backupKeys().file; nearly always only the first.
 * @param collector is called at each try, and gives what is told the lines; they count when there is no problem
 */
export async function checkIndex(
  bucket: Bucket,
  files: Files,
  index: FilesIndex,
  collector: () => (file: CopiedFile) => void = () => () => {},
): Promise<Checked & { copies: ReadonlySet<number> }> {
  const copies = new Set([1])
  const part = { ...index, holds: { what: 'files', count: files.objects } as const }
  const checked = await checkPart(bucket, part, async () => {
    let [objects, bytes] = [0, 0]
    const collect = collector()
    for await (const file of copiesOf(bucket, index)) {
      copies.add(file.copy ?? 1)
      objects++
      bytes += file.size
      collect(file)
    }
    if (objects !== files.objects || bytes === files.bytes) return objects
    throw new BackupDamaged(`the files it names have ${bytes} bytes, the manifest says ${files.bytes}`)
  })
  if (checked.problem === null) return { ...checked, copies }
  const detail = `${checked.problem.detail}; so the copies of files could not be checked`
  return { ...checked, problem: { ...checked.problem, detail }, copies }
}

function copiesOf(bucket: Bucket, index: FilesIndex): AsyncGenerator<CopiedFile, undefined> {
  return readFilesIndex(bucket, index, ({ text, file, cause }) => {
    if (file !== null) return new BackupDamaged(`${index.key} names ${file.key} out of order, or twice`)
    return new BackupDamaged(`${index.key} holds a line that names no file: ${text.slice(0, 200)}`, { cause })
  })
}
