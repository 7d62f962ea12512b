import { readFilesIndex } from '../backup/part/files-index.ts'
import type { CopiedFile, FilesSection } from '../backup/sections/files.ts'
import type { Clients } from '../clients.ts'
import { BackupDamaged } from '../errors.ts'
import type { Bucket } from '../s3/bucket.ts'
import { compareKeys } from '../s3/key-order.ts'
import { type ListedObject, listRange } from '../s3/list.ts'
import { everything, type Touched } from '../store/selection.ts'
import { isTouched } from './list.ts'
import { isAsBackedUp } from './restore/piece.ts'
import type { FilesDifference } from './schema/difference.ts'

/** Objects that are looked at between two signs of life. */
const told = 10_000

type Clientele = Pick<Clients, 'files' | 'backups' | 'config'>
type Progress = (done: number, total: number) => Promise<void>

/**
 * What became of the files since a backup: its list beside a listing of now, both in the order of their keys. No object is
 * read. Memory: a page of the listing.
 * @param asked.touched what of both is looked at, and counted
 * @param asked.signal ends it before the next page
 * @throws BackupDamaged when the list is not what the manifest says; StoreUnavailable, NotPermitted
 */
export async function diffFiles(
  { files, backups, config }: Clientele,
  {
    held,
    touched = everything,
    signal,
  }: { held: FilesSection; touched?: Touched | undefined; signal?: AbortSignal },
  progress: Progress,
): Promise<FilesDifference> {
  const isWanted = (key: string) => isTouched(key, touched)
  const asked = {
    ...{ before: wantedOf(backedUp(backups, held), isWanted), after: listed(), expected: held.objects },
    keyOf: ({ key }: ListedObject) => key.slice(config.FILES_PREFIX.length),
    isSame: isAsBackedUp,
  }
  return compare(asked, progress)

  async function* listed(): AsyncGenerator<ListedObject, undefined> {
    for await (const page of listRange(files, { prefix: config.FILES_PREFIX })) {
      signal?.throwIfAborted()
      yield* page.filter(({ key }) => isWanted(key.slice(config.FILES_PREFIX.length)))
    }
  }
}

/** The same between two backups, of both of which the list is read, and nothing else. @throws as diffFiles */
export async function diffHeldFiles(
  { backups }: Pick<Clients, 'backups'>,
  { before, after, signal }: { before: FilesSection; after: FilesSection; signal?: AbortSignal },
  progress: Progress,
): Promise<FilesDifference> {
  const asked = {
    ...{
      before: backedUp(backups, before, signal),
      after: backedUp(backups, after, signal),
      expected: before.objects,
    },
    keyOf: ({ key }: CopiedFile) => key,
    isSame: haveSameEtag,
  }
  return compare(asked, progress)
}

/** As isAsBackedUp, of the object or its copy. */
function haveSameEtag(one: CopiedFile, other: CopiedFile): boolean {
  const etags = [other.etag, other.copyEtag]
  return one.size === other.size && (etags.includes(one.etag) || etags.includes(one.copyEtag))
}

type Sides<Now> = {
  before: AsyncGenerator<CopiedFile, undefined>
  after: AsyncGenerator<Now, undefined>
  keyOf: (now: Now) => string
  isSame: (now: Now, file: CopiedFile) => boolean
  expected: number
}

async function compare<Now>(
  { before, after, keyOf, isSame, expected }: Sides<Now>,
  progress: Progress,
): Promise<FilesDifference> {
  const difference = { before: 0, now: 0, extra: 0, missing: 0, changed: 0, bytes: 0 }
  let now = await after.next()
  async function pass(): Promise<void> {
    difference.now++
    if (difference.now % told === 0) await progress(difference.now, Math.max(difference.now, expected))
    now = await after.next()
  }
  for await (const file of before) {
    difference.before++
    while (now.value !== undefined && compareKeys(keyOf(now.value), file.key) < 0) {
      difference.extra++
      await pass()
    }
    const isThere = now.value !== undefined && keyOf(now.value) === file.key
    const isEqual = now.value !== undefined && isThere && isSame(now.value, file)
    if (!isThere) difference.missing++
    else if (!isEqual) difference.changed++
    if (!isEqual) difference.bytes += file.size
    if (isThere) await pass()
  }
  while (now.value !== undefined) {
    difference.extra++
    await pass()
  }
  await progress(difference.now, difference.now)
  return difference
}

async function* wantedOf(
  files: AsyncGenerator<CopiedFile, undefined>,
  isWanted: (key: string) => boolean,
): AsyncGenerator<CopiedFile, undefined> {
  for await (const file of files) if (isWanted(file.key)) yield file
}

async function* backedUp(
  bucket: Bucket,
  { index }: FilesSection,
  signal?: AbortSignal,
): AsyncGenerator<CopiedFile, undefined> {
  if (index === null) return
  const files = readFilesIndex(
    bucket,
    index,
    ({ number }) =>
      new BackupDamaged(
        `The list of files s3://${bucket.name}/${index.key} is damaged: its line ${number} describes no file, or is out of order. Use another backup`,
      ),
  )
  for await (const file of files) {
    signal?.throwIfAborted()
    yield file
  }
}
