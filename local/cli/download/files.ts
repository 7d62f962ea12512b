import pMap from 'p-map'
import { backupKeys } from '../../../lib/backup/layout.ts'
import { readFilesIndex } from '../../../lib/backup/part/files-index.ts'
import type { Backup } from '../../../lib/backup/read.ts'
import type { CopiedFile } from '../../../lib/backup/sections/files.ts'
import { BackupDamaged } from '../../../lib/errors.ts'
import { type Bucket, openObject } from '../../../lib/s3/bucket.ts'
import type { Folder } from './folder.ts'
import { PathNames } from './names.ts'

/** Files that are fetched at the same time. */
const atOnce = 16
/** Files that are held as names meanwhile. */
const held = 1_000

type Sources = { bucket: Bucket; prefix: string; backup: Backup }
type Fetched = { file: CopiedFile; path: string }

/**
 * Fetches the files of a backup into `files/`, and lists them in `files.jsonl`, each with its path there. One that is there with the
 * size that it should have is not fetched again.
 * @param told is told how many there are, and their bytes, as they come
 * @throws BackupDamaged when one is missing, or not the copy that was made
 */
export async function fetchFiles(
  sources: Sources,
  folder: Folder,
  told: (files: number, bytes: number) => void,
): Promise<{ files: number; fetched: number; bytes: number }> {
  let [files, fetched, bytes] = [0, 0, 0]
  async function* lines(): AsyncGenerator<string> {
    for await (const some of inGroups(withPaths(sources))) {
      const isNew = await pMap(some, (one) => fetchOne(sources, folder, one), { concurrency: atOnce })
      for (const [at, { file, path }] of some.entries()) {
        if (isNew[at]) fetched++
        files++
        bytes += file.size
        yield `${JSON.stringify({ ...file, path })}\n`
      }
      told(files, bytes)
    }
  }
  await folder.write('files.jsonl', lines())
  return { files, fetched, bytes }
}

async function fetchOne(
  { bucket, prefix, backup }: Sources,
  folder: Folder,
  { file, path }: Fetched,
): Promise<boolean> {
  if (await folder.has(path, file.size)) return false
  const key = backupKeys(prefix, backup.backupId).file(file.key, file.copy)
  await folder.write(path, bytesOf(bucket, key, file))
  return true
}

/** @throws BackupDamaged for another object than the one that was copied */
async function* bytesOf(bucket: Bucket, key: string, { size, copyEtag }: CopiedFile): AsyncGenerator<Buffer> {
  const { Body: body, ETag: etag, ContentLength: length } = await openObject(bucket, key)
  try {
    if (etag !== copyEtag || (length !== undefined && length !== size))
      throw new BackupDamaged(
        `s3://${bucket.name}/${key} has the ETag ${etag} and ${length} bytes, but the backup was made with ${copyEtag} and ${size}. Use another backup`,
      )
    let bytes = 0
    for await (const chunk of body as AsyncIterable<Buffer>) {
      bytes += chunk.length
      yield chunk
    }
    if (bytes !== size)
      throw new BackupDamaged(
        `Of s3://${bucket.name}/${key} came ${bytes} bytes in place of ${size}. Start again`,
      )
  } finally {
    body.destroy()
  }
}

/** In the order of the keys: so that a further try finds each where the first has put it. */
async function* withPaths({ bucket, backup }: Sources): AsyncGenerator<Fetched> {
  const index = backup.files?.index ?? null
  if (index === null) return
  const names = new PathNames()
  const files = readFilesIndex(
    bucket,
    index,
    ({ number }) =>
      new BackupDamaged(
        `The list of files s3://${bucket.name}/${index.key} is damaged in its line ${number}. Use another backup`,
      ),
  )
  for await (const file of files) yield { file, path: `files/${names.pathOf(...file.key.split('/'))}` }
}

async function* inGroups(files: AsyncIterable<Fetched>): AsyncGenerator<Fetched[]> {
  let group: Fetched[] = []
  for await (const one of files) {
    if (group.push(one) < held) continue
    yield group
    group = []
  }
  yield group
}
