import { PassThrough } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { StorageClass } from '@aws-sdk/client-s3'
import pMap from 'p-map'
import * as z from 'zod'
import { noteBounds, parseJson } from '../../../lib/backup/documents/json.ts'
import { type BackupKeys, filesKeys } from '../../../lib/backup/layout.ts'
import { proveWritten, uploadNew } from '../../../lib/backup/part/upload.ts'
import { writePart } from '../../../lib/backup/part/write.ts'
import { CopiedFile, type FilesSection } from '../../../lib/backup/sections/files.ts'
import { StoreUnavailable } from '../../../lib/errors.ts'
import type { Bucket } from '../../../lib/s3/bucket.ts'
import { headObject } from '../../../lib/s3/head-object.ts'
import { compareKeys } from '../../../lib/s3/key-order.ts'
import { PathNames } from '../download/names.ts'
import { changed, type OpenedFolder } from './opened-folder.ts'

const list = 'files.jsonl'

/** Files that are sent at the same time, and held as names meanwhile. */
const [atOnce, held] = [8, 1_000]

const Listed = CopiedFile.extend({ path: z.string() })
type Listed = z.output<typeof Listed>

type Upload = {
  folder: OpenedFolder
  files: FilesSection
  /** FILES_PREFIX, below which a restore puts them. */
  below: string
  keys: BackupKeys
  report: (text: string) => void
}

/**
 * Writes the files as copies of a new backup, each read back, and their list. Keys are what the folder says, and may be no others than
 * a backup of ours can hold; the path of each is made of its key again, and not believed.
 * @throws BackupDamaged, StoreUnavailable, NotPermitted, ReadBackMismatch
 */
export async function uploadFiles(bucket: Bucket, upload: Upload): Promise<FilesSection> {
  const { folder, files, below, keys, report } = upload
  let [objects, bytes] = [0, 0]
  async function* lines(): AsyncGenerator<Buffer> {
    for await (const some of inGroups(listedIn(folder, [files.prefix, below]))) {
      const copies = await pMap(some, (file) => uploadFile(bucket, { folder, keys, file }), {
        concurrency: atOnce,
      })
      objects += copies.length
      bytes += copies.reduce((sum, { size }) => sum + size, 0)
      report(`files: ${objects} of ${files.objects}`)
      if (copies.length > 0) yield Buffer.from(copies.map((copy) => `${JSON.stringify(copy)}\n`).join(''))
    }
  }
  const index = await writePart(bucket, keys.filesIndex, lines)
  if (objects !== files.objects || bytes !== files.bytes)
    throw changed(
      list,
      `it names ${objects} files of ${bytes} bytes in place of ${files.objects} of ${files.bytes}`,
    )
  return { ...files, index }
}

async function* listedIn(folder: OpenedFolder, prefixes: readonly string[]): AsyncGenerator<Listed> {
  const names = new PathNames()
  let before: string | undefined
  for await (const { text, number } of folder.lines(list, noteBounds.bytes)) {
    const file = parsed(text)
    const wrong = (problem: string) => changed(list, `its line ${number} ${problem}`)
    if (file === undefined) throw wrong('describes no file')
    const { key, path, storageClass } = file
    if (!key.isWellFormed()) throw wrong('has a key that is no text')
    if (before !== undefined && compareKeys(before, key) >= 0) throw wrong('is out of order')
    if (path !== `files/${names.pathOf(...key.split('/'))}`)
      throw wrong('names another path than its key has')
    // A restore would write over the mark of the environment.
    if (prefixes.some((prefix) => `${prefix}${key}`.startsWith(filesKeys.own)))
      throw wrong('names what is no file of the application')
    if (storageClass !== undefined && !Object.hasOwn(StorageClass, storageClass))
      throw wrong('names a storage class that there is not')
    before = key
    yield file
  }
}

function parsed(text: Buffer): Listed | undefined {
  try {
    return Listed.parse(parseJson(text.toString(), noteBounds))
  } catch {
    return undefined
  }
}

async function uploadFile(
  bucket: Bucket,
  { folder, keys, file }: { folder: OpenedFolder; keys: BackupKeys; file: Listed },
): Promise<CopiedFile> {
  const { key: name, path, size, storageClass } = file
  const found = await folder.sizeOf(path)
  if (found !== size) throw changed(path, `it has ${found} bytes in place of ${size}`)
  const key = keys.file(name)
  const through = new PassThrough()
  const feed = () => pipeline(folder.chunks(path, { to: size }), through)
  const sent = await uploadNew(bucket, { key, contentType: 'application/octet-stream' }, through, feed)
  if (sent === 'taken')
    throw new StoreUnavailable(
      `s3://${bucket.name}/${key} was there already: somebody else writes into this folder. Upload again`,
    )
  if (sent.bytes !== size) throw changed(path, `${sent.bytes} bytes came of it in place of ${size}`)
  await proveWritten(bucket, key, sent)
  const etag = (await headObject(bucket.s3, { bucket: bucket.name, key }))?.ETag
  if (etag === undefined)
    throw new StoreUnavailable(`s3://${bucket.name}/${key} was written, but is not there. Upload again`)
  // What the folder says of ETags would decide which files a restore takes for equal.
  const copy = { key: name, size, etag, copyEtag: etag }
  return storageClass === undefined ? copy : { ...copy, storageClass }
}

async function* inGroups(files: AsyncIterable<Listed>): AsyncGenerator<Listed[]> {
  let group: Listed[] = []
  for await (const one of files) {
    if (group.push(one) < held) continue
    yield group
    group = []
  }
  yield group
}
