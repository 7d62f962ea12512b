import { StoreUnavailable } from '../errors.ts'
import type { BinaryRedis } from './binary-redis.ts'
import { asBytes, asList, asText, type Command, type Reply } from './reply.ts'

/** Where a scan begins, and what it ends with. Cursors are numbers of up to 64 bits, so they stay text. */
export const firstCursor = '0'

export function scanCommand(cursor: string, match: string | undefined, count: number): Command {
  return ['SCAN', cursor, ...(match === undefined ? [] : ['MATCH', match]), 'COUNT', String(count)]
}

type Page = { cursor: string; items: Reply[] }

/** A page may be empty, or hold keys of an earlier page again: only the cursor says whether the scan is over. */
export function readScan(reply: Reply | undefined): Page {
  const [cursor, items] = asList(reply)
  return { cursor: asCursor(cursor), items: asList(items) }
}

/**
 * Pages of keys; each key that is there from beginning to end comes at least once, possibly more often. The next page is
 * asked for while one is worked on.
 */
export async function* scanKeys(
  cache: BinaryRedis,
  { match, count }: { match: string | undefined; count: number },
): AsyncGenerator<Buffer[]> {
  const ask = async (cursor: string) => readScan((await cache.ask([scanCommand(cursor, match, count)]))[0])
  let next: Promise<Page> | undefined = ask(firstCursor)
  while (next !== undefined) {
    const { cursor, items }: Page = await next
    next = cursor === firstCursor ? undefined : ask(cursor)
    next?.catch(() => {}) // it is thrown where it is waited for, if it still is
    yield items.map(asBytes)
  }
}

/** @throws StoreUnavailable when it is none */
export function asCursor(reply: Reply | undefined): string {
  const cursor = asText(reply)
  const isExact = typeof reply !== 'number' || Number.isSafeInteger(reply)
  if (/^\d{1,20}$/.test(cursor) && isExact) return cursor
  throw new StoreUnavailable(
    'The cache answered SCAN with something that is no cursor, so its keys cannot all be found',
  )
}
