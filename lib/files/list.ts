import { counted } from '../amounts.ts'
import type { Clients } from '../clients.ts'
import type { Config } from '../config/variables.ts'
import { LimitExceeded } from '../errors.ts'
import type { PlannedRun } from '../ledger/run-ref.ts'
import type { Bucket } from '../s3/bucket.ts'
import { listRange } from '../s3/list.ts'
import type { Touched } from '../store/selection.ts'
import { type ListedFile, listedFiles } from './pieces.ts'
import { type Cut, pieceLimits, WorkLists } from './work-lists.ts'

type Tools = Pick<Clients, 'files' | 'backups' | 'config'>

/** Totals over the objects below FILES_PREFIX, in bytes, and over those of them that are preserved. */
type FileTotals = {
  objects: number
  bytes: number
  preservedObjects: number
  preservedBytes: number
  /** Preserved prefixes that match no object: probably typos, and what they were meant to keep would go. */
  unmatched: string[]
}

/**
 * Lists FILES_PREFIX once and adds it up. With `write`, the listing is kept as the run's work lists (JSON Lines of
 * ListedFile), `lists` pieces, of which a batch takes `listsPerBatch`. Preserved objects are in the lists too: they are
 * backed up like any other. Memory: one piece.
 * @throws StoreUnavailable or NotPermitted when the listing fails at any page
 * @throws LimitExceeded when `signal` aborts before its end
 */
export async function listFiles(
  { files, backups: work, config }: Tools,
  {
    write,
    preserve,
    signal,
  }: { write?: PlannedRun; preserve: readonly string[]; signal?: AbortSignal | undefined },
  limits = pieceLimits,
): Promise<FileTotals & Cut> {
  const tally = tallyOf(preserve)
  const keyOf = write === undefined ? null : (list: number) => listedFiles.keyOf(write, list)
  const lists = new WorkLists<ListedFile>(work, { keyOf, limits })
  for await (const page of listRange(files, { prefix: config.FILES_PREFIX })) {
    for (const object of page) {
      const file = { ...object, key: object.key.slice(config.FILES_PREFIX.length) }
      tally.add(file)
      await lists.add(file)
    }
    if (signal?.aborted) throw notListed(files, config, tally.totals())
  }
  return { ...tally.totals(), ...(await lists.end()) }
}

/**
 * The totals without writing anything. With `limit` it stops after that many objects, or at the next page when `signal`
 * aborts, and says that it is not `complete`, for an answer in bounded time.
 */
export async function countFiles(
  { files, config }: Pick<Tools, 'files' | 'config'>,
  {
    preserve,
    limit = Number.POSITIVE_INFINITY,
    signal,
  }: { preserve: readonly string[]; limit?: number; signal?: AbortSignal | undefined },
): Promise<FileTotals & { complete: boolean }> {
  const tally = tallyOf(preserve)
  let counted = 0
  for await (const page of listRange(files, { prefix: config.FILES_PREFIX })) {
    for (const { key, size } of page) {
      if (counted++ >= limit) return { ...tally.totals(), unmatched: [], complete: false }
      tally.add({ key: key.slice(config.FILES_PREFIX.length), size })
    }
    if (signal?.aborted) return { ...tally.totals(), unmatched: [], complete: false }
  }
  return { ...tally.totals(), complete: true }
}

function notListed({ name }: Bucket, { FILES_PREFIX }: Config, { objects }: FileTotals): LimitExceeded {
  return new LimitExceeded(
    `The time of one invocation was over when ${counted(objects, 'file')} below s3://${name}/${FILES_PREFIX} had been listed, and there are more. Nothing was touched; say a narrower FILES_PREFIX, or choose a strategy without the files`,
  )
}

/** Whether a key below FILES_PREFIX lies below one of the preserved prefixes. */
export function isPreserved(key: string, preserve: readonly string[]): boolean {
  return preserve.some((prefix) => key.startsWith(prefix))
}

/**
 * Whether a restore touches a key below FILES_PREFIX: brings it back, or takes it away.
 * @see docs/decisions.md#what-a-restore-leaves-alone-is-not-its-to-delete
 */
export function isTouched(key: string, { only, kept }: Touched): boolean {
  return (only === null || isPreserved(key, only)) && !isPreserved(key, kept)
}

function tallyOf(preserve: readonly string[]) {
  const sums = { objects: 0, bytes: 0, preservedObjects: 0, preservedBytes: 0 }
  const unmatched = new Set(preserve)
  return {
    add({ key, size }: { key: string; size: number }): void {
      sums.objects++
      sums.bytes += size
      if (!isPreserved(key, preserve)) return
      sums.preservedObjects++
      sums.preservedBytes += size
      for (const prefix of unmatched) if (key.startsWith(prefix)) unmatched.delete(prefix)
    },
    totals: (): FileTotals => ({ ...sums, unmatched: [...unmatched] }),
  }
}
