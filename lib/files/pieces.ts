import * as z from 'zod'
import { getJsonLines } from '../backup/documents/read.ts'
import { workKeys } from '../backup/layout.ts'
import type { Storage } from '../s3/bucket.ts'
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

/** Which run a step belongs to, and which try of its Count listed. */
export type Run = { runId: string; attempt: number; tried?: string }

/** What one invocation works on: `listsPerBatch` consecutive pieces of the `lists` that the count wrote. From 0. */
export type Batch = { run: Run; batch: number; listsPerBatch: number; lists: number }

/** One piece of the listing, and the stretch of keys below FILES_PREFIX that it covers. */
export type Piece = { list: number; files: ListedFile[]; range: Omit<KeyRange, 'prefix'> }

/**
 * The pieces of a batch, one after the other. Each covers the keys from the end of the piece before it to its own last
 * key; the last one of all is open at its end, so that what came after it is seen too.
 */
export async function* readPieces(
  work: Storage,
  { run, batch, listsPerBatch, lists }: Batch,
): AsyncGenerator<Piece> {
  const first = batch * listsPerBatch
  const end = Math.min(first + listsPerBatch, lists)
  const before = first === 0 ? [] : await getJsonLines(work, workKeys(run).filesList(first - 1), ListedFile)
  let after = before.at(-1)?.key
  for (let list = first; list < end; list++) {
    const files = await getJsonLines(work, workKeys(run).filesList(list), ListedFile)
    const last = files.at(-1)?.key
    yield { list, files, range: { after, through: list === lists - 1 ? undefined : last } }
    after = last
  }
}

/** The range of a piece as full keys below `prefix`. */
export function rangeBelow(prefix: string, { after, through }: Piece['range']): KeyRange {
  return {
    prefix,
    after: after === undefined ? undefined : `${prefix}${after}`,
    through: through === undefined ? undefined : `${prefix}${through}`,
  }
}
