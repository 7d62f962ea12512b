import { getJsonLines } from '../../backup/documents/read.ts'
import { workKeys } from '../../backup/layout.ts'
import { CopiedFile } from '../../backup/sections/files.ts'
import type { PlannedRun } from '../../ledger/run-ref.ts'
import type { Bucket } from '../../s3/bucket.ts'
import type { Version } from '../../s3/delete.ts'
import { compareKeys } from '../../s3/key-order.ts'
import { listRange } from '../../s3/list.ts'
import { ListedFile } from '../pieces.ts'

/** The copies of one piece of the listing, and the last key that the piece reaches to. */
type Position = { list: number; last: string; copies: Map<string, string> }

/**
 * Tells of versions of live objects, asked for in the order of their keys, whether the run's own backup holds them.
 * Memory: one piece of the listing. The piece where the first key belongs is found in the logarithm of their number.
 * @param prefix is FILES_PREFIX: versions have full keys, the lists have keys below it
 * @throws NotFound when the run listed files and did not copy them all
 */
export function safetyCopies(
  work: Bucket,
  { run, prefix }: { run: PlannedRun; prefix: string },
): (version: Version) => Promise<boolean> {
  const keys = workKeys(run)
  let lists: number | undefined
  let position: Position | undefined

  return async ({ key, etag }) => {
    lists ??= await countLists()
    if (lists === 0) return false
    const path = key.slice(prefix.length)
    position ??= await load(await listOf(path, lists))
    while (position.list < lists - 1 && compareKeys(path, position.last) > 0) {
      position = await load(position.list + 1)
    }
    return position.copies.get(path) === etag
  }

  async function countLists(): Promise<number> {
    let count = 0
    for await (const page of listRange(work, { prefix: `${keys.lists}files/` })) count += page.length
    return count
  }

  /** The first piece that does not end before the key. */
  async function listOf(path: string, count: number): Promise<number> {
    let [from, to] = [0, count - 1]
    while (from < to) {
      const middle = Math.floor((from + to) / 2)
      if (compareKeys(path, await lastOf(middle)) > 0) from = middle + 1
      else to = middle
    }
    return from
  }

  async function load(list: number): Promise<Position> {
    const copied = await getJsonLines(work, keys.filesCopied(list), CopiedFile)
    const copies = new Map(copied.map((file) => [file.key, file.etag]))
    return { list, last: await lastOf(list), copies }
  }

  /** From the listing, not from the copies: an object that vanished was not copied. */
  async function lastOf(list: number): Promise<string> {
    return (await getJsonLines(work, keys.filesList(list), ListedFile)).at(-1)?.key ?? ''
  }
}
