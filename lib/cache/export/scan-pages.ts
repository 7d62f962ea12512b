import type { BinaryRedis } from '../../redis/binary-redis.ts'
import { asBytes } from '../../redis/reply.ts'
import { firstCursor, readScan, scanCommand } from '../../redis/scan.ts'
import { noStrings, type ReadStrings, type StringsAsked, scanStrings } from '../value/read-strings.ts'

/** Keys that one script finds and reads at most, about: the server is busy with them for some milliseconds. */
export const keysAtOnce = 2_500

/** How many keys are asked for at least, however large they are. */
const keysAtLeast = 10

type Page = ReadStrings & { cursor: string }

/**
 * Finds keys as scanKeys does, and reads the strings among them on the way: one script for a page, and the next is asked
 * for while one is worked on. `rest`, the keys that it did not come to, are all of them from where a script is refused on.
 * @param pageKeys how many are asked for without the script
 * @throws StoreUnavailable, NotPermitted
 */
export async function* scanPages(
  cache: BinaryRedis,
  { match, pageKeys, asked }: { match: string | undefined; pageKeys: number; asked: StringsAsked },
): AsyncGenerator<ReadStrings> {
  const most = Math.min(keysAtOnce, pageKeys)
  let count = most
  let scripted = true
  async function ask(cursor: string): Promise<Page> {
    const read = scripted ? await scanStrings(cache, { cursor, match, count }, asked) : undefined
    if (read === undefined) {
      scripted = false
      const [reply] = await cache.ask([scanCommand(cursor, match, pageKeys)])
      const page = readScan(reply)
      return { cursor: page.cursor, strings: noStrings, others: [], rest: page.items.map(asBytes) }
    }
    const reached = read.strings.size + read.others.length
    count = Math.min(most, read.rest.length === 0 ? 2 * count : Math.max(keysAtLeast, reached))
    return read
  }
  let next: Promise<Page> | undefined = ask(firstCursor)
  while (next !== undefined) {
    const page: Page = await next
    next = page.cursor === firstCursor ? undefined : ask(page.cursor)
    next?.catch(() => {}) // it is thrown where it is waited for, if it still is
    yield page
  }
}
