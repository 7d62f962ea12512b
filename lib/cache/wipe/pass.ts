import type { Fence } from '../../ledger/fence.ts'
import type { BinaryRedis } from '../../redis/binary-redis.ts'
import { asBytes } from '../../redis/reply.ts'
import { firstCursor, readScan, scanCommand, scanKeys } from '../../redis/scan.ts'
import { compareAndUnlink, type KeyFate, type Unlinking } from '../compare-and-unlink.ts'

/** Which keys go: those that a SCAN finds by `match`, for which `goes` is true, and how. */
export type KeySelection = Omit<Unlinking, 'keys'> & {
  match: string | undefined
  goes: (key: Buffer) => boolean
  pageKeys: number
}

/** One pass: each request deletes the page before and scans the next. Gives how many keys it found that should go. */
export async function wipeOnce(
  { cache, fence }: { cache: BinaryRedis; fence: Fence },
  selection: KeySelection,
  onPage: (fates: ReadonlyMap<Buffer, KeyFate>) => Promise<void>,
): Promise<number> {
  let found = 0
  let cursor: string | undefined = firstCursor
  let doomed: Buffer[] = []
  while (cursor !== undefined || doomed.length > 0) {
    const scan = cursor === undefined ? undefined : scanCommand(cursor, selection.match, selection.pageKeys)
    const { fates, besides } = await compareAndUnlink(cache, fence, { ...selection, keys: doomed }, scan)
    found += [...fates.values()].filter((fate) => fate !== 'kept').length
    if (doomed.length > 0) await onPage(fates)
    if (scan === undefined) break
    const page = readScan(besides)
    doomed = page.items.map(asBytes).filter(selection.goes)
    cursor = page.cursor === firstCursor ? undefined : page.cursor
  }
  return found
}

/** The keys that are there and should go, as pages. */
export async function* findDoomed(
  cache: BinaryRedis,
  { match, goes, pageKeys }: Pick<KeySelection, 'match' | 'goes' | 'pageKeys'>,
): AsyncGenerator<Buffer[]> {
  for await (const page of scanKeys(cache, { match, count: pageKeys })) yield page.filter(goes)
}
