import type { Fence } from '../../ledger/fence.ts'
import type { BinaryRedis } from '../../redis/binary-redis.ts'
import { asBytes } from '../../redis/reply.ts'
import { firstCursor, readScan, scanCommand, scanKeys } from '../../redis/scan.ts'
import { compareAndUnlink, type ExpectedDigest, type KeyFate, type Unlinking } from '../compare-and-unlink.ts'

/** Which keys go, and how: those that a SCAN finds by `match`, and of which something is expected. */
export type KeySelection = Omit<Unlinking, 'keys' | 'expected'> & {
  match: string | undefined
  /** null: the key stays. */
  expected: (key: Buffer) => ExpectedDigest | null
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
  let doomed = new Map<Buffer, ExpectedDigest>()
  while (cursor !== undefined || doomed.size > 0) {
    const scan = cursor === undefined ? undefined : scanCommand(cursor, selection.match, selection.pageKeys)
    const expected = (key: Buffer) => doomed.get(key) ?? ''
    const asked = { ...selection, keys: [...doomed.keys()], expected }
    const { fates, besides } = await compareAndUnlink(cache, fence, asked, scan)
    for (const fate of fates.values()) if (fate !== 'kept') found++
    if (doomed.size > 0) await onPage(fates)
    if (scan === undefined) break
    const page = readScan(besides)
    doomed = doomedOf(page.items.map(asBytes), selection)
    cursor = page.cursor === firstCursor ? undefined : page.cursor
  }
  return found
}

/** The keys that are there and should go, as pages. */
export async function* findDoomed(
  cache: BinaryRedis,
  { match, pageKeys, expected }: Pick<KeySelection, 'match' | 'expected' | 'pageKeys'>,
): AsyncGenerator<Buffer[]> {
  for await (const page of scanKeys(cache, { match, count: pageKeys }))
    yield [...doomedOf(page, { expected }).keys()]
}

/** What is expected of each key is looked up once, and kept until the script is asked. */
function doomedOf(
  keys: readonly Buffer[],
  { expected }: Pick<KeySelection, 'expected'>,
): Map<Buffer, ExpectedDigest> {
  const doomed = new Map<Buffer, ExpectedDigest>()
  for (const key of keys) {
    const digest = expected(key)
    if (digest !== null) doomed.set(key, digest)
  }
  return doomed
}
