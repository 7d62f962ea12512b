import { StoreUnavailable } from '../errors.ts'
import type { BinaryRedis } from './binary-redis.ts'
import { asBytes, asList, asText, type Command, type Reply } from './reply.ts'

/** Where a scan begins, and what it ends with. Cursors are numbers of up to 64 bits, so they stay text. */
export const firstCursor = '0'

export function scanCommand(cursor: string, match: string | undefined, count: number): Command {
  return ['SCAN', cursor, ...(match === undefined ? [] : ['MATCH', match]), 'COUNT', String(count)]
}

/** A page may be empty, or hold keys of an earlier page again: only the cursor says whether the scan is over. */
export function readScan(reply: Reply | undefined): { cursor: string; items: Reply[] } {
  const [cursor, items] = asList(reply)
  return { cursor: asCursor(cursor), items: asList(items) }
}

/** Pages of keys; each key that is there from beginning to end comes at least once, possibly more often. */
export async function* scanKeys(
  cache: BinaryRedis,
  { match, count }: { match: string | undefined; count: number },
): AsyncGenerator<Buffer[]> {
  let cursor = firstCursor
  do {
    const [reply] = await cache.ask([scanCommand(cursor, match, count)])
    const page = readScan(reply)
    yield page.items.map(asBytes)
    cursor = page.cursor
  } while (cursor !== firstCursor)
}

function asCursor(reply: Reply | undefined): string {
  const cursor = asText(reply)
  const isExact = typeof reply !== 'number' || Number.isSafeInteger(reply)
  if (/^\d{1,20}$/.test(cursor) && isExact) return cursor
  throw new StoreUnavailable(
    'The cache answered SCAN with something that is no cursor, so its keys cannot all be found',
  )
}
