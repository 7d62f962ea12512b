import * as z from 'zod'
import { getJsonLines } from '../backup/documents/read.ts'
import { workKeys } from '../backup/layout.ts'
import { CopiedFile } from '../backup/sections/files.ts'
import type { PlannedRun } from '../ledger/run-ref.ts'
import type { Bucket } from '../s3/bucket.ts'
import type { KeyRange } from '../s3/list.ts'

/** One line of `filesList`: an object as the count listed it. `key` is relative to FILES_PREFIX, `size` in bytes. */
export const ListedFile = z.strictObject({
  key: z.string(),
  size: z.number().int().nonnegative(),
  etag: z.string().min(1),
  modified: z.iso.datetime(),
  storageClass: z.string().min(1).optional(),
})
export type ListedFile = z.output<typeof ListedFile>

/** What one invocation works on: `listsPerBatch` consecutive pieces of the `lists` that the count wrote. From 0. */
export type FilesBatch = { run: PlannedRun; batch: number; listsPerBatch: number; lists: number }

/** One piece of a listing, and the stretch of keys below FILES_PREFIX that it covers. */
export type Piece<File> = { list: number; files: File[]; range: Omit<KeyRange, 'prefix'> }

/** The work lists of a kind. */
type Lists<File> = {
  keyOf: (run: PlannedRun, list: number) => string
  schema: z.ZodType<File>
  /** Without a list there is one piece all the same, which is empty. */
  neverNone: boolean
}

/** The files as the count listed them. */
export const listedFiles: Lists<ListedFile> = {
  keyOf: (run, list) => workKeys(run).filesList(list),
  schema: ListedFile,
  neverNone: false,
}

/** Those of the backup that is restored: one without files, too, has to be laid beside what is there. */
export const filesToRestore: Lists<CopiedFile> = {
  keyOf: (run, list) => workKeys(run).restoreList(list),
  schema: CopiedFile,
  neverNone: true,
}

/**
 * The pieces of a batch, one after the other. Each covers the keys from the end of the piece before it to its own last
 * key; the first one of all is open at its beginning and the last one at its end. So the pieces of all batches cover every
 * key there can be, and what came before, between and after their files is seen exactly once.
 */
export async function* readPieces<File extends { key: string }>(
  work: Bucket,
  { run, batch, listsPerBatch, lists }: FilesBatch,
  { keyOf, schema, neverNone }: Lists<File>,
): AsyncGenerator<Piece<File>> {
  if (lists === 0 && neverNone)
    return yield { list: 0, files: [], range: { after: undefined, through: undefined } }
  const read = (list: number) => getJsonLines(work, keyOf(run, list), schema)
  const first = batch * listsPerBatch
  const end = Math.min(first + listsPerBatch, lists)
  let after = first === 0 ? undefined : (await read(first - 1)).at(-1)?.key
  for (let list = first; list < end; list++) {
    const files = await read(list)
    const last = files.at(-1)?.key
    yield { list, files, range: { after, through: list === lists - 1 ? undefined : last } }
    after = last
  }
}

/** The range of a piece as full keys below `prefix`. */
export function rangeBelow(prefix: string, { after, through }: Piece<unknown>['range']): KeyRange {
  return {
    prefix,
    after: after === undefined ? undefined : `${prefix}${after}`,
    through: through === undefined ? undefined : `${prefix}${through}`,
  }
}
