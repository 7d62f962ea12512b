import { StoreUnavailable } from '../../errors.ts'
import { command } from '../../redis/command.ts'
import { asBytes, asList, asText, type Command, type Reply } from '../../redis/reply.ts'
import { firstCursor, readScan } from '../../redis/scan.ts'

/** The types that a backup holds. */
export const keyTypes = ['string', 'list', 'set', 'hash', 'zset', 'stream'] as const
export type KeyType = (typeof keyTypes)[number]

/** A piece of a string, an element, a pair of field and value or of member and score, or an entry of a stream. */
export type Item = Buffer | Item[]

/** Some items of a value, and where the next page begins; null: there is none. */
export type ValuePage = { items: Item[]; next: string | null }

export type Pages = {
  /** The cursor of the first page. */
  first: string
  /** Reads about `count` items (bytes, of a string) from a cursor on. */
  command(key: Buffer, cursor: string, count: number): Command
  read(reply: Reply, cursor: string, count: number): ValuePage
}

/** How a value of each type is read page by page. A page that holds the whole value is of one moment. */
export const pagesOf: Record<KeyType, Pages> = {
  string: {
    first: '0',
    command: (key, cursor, count) => command('GETRANGE', key, cursor, String(Number(cursor) + count - 1)),
    read: (reply, cursor, count) => {
      const piece = asBytes(reply)
      return { items: [piece], next: piece.length < count ? null : String(Number(cursor) + count) }
    },
  },
  list: {
    first: '0',
    command: (key, cursor, count) => command('LRANGE', key, cursor, String(Number(cursor) + count - 1)),
    read: (reply, cursor, count) => {
      const items = asList(reply).map(asBytes)
      return { items, next: items.length < count ? null : String(Number(cursor) + count) }
    },
  },
  set: byScan('SSCAN', (items) => items),
  hash: byScan('HSCAN', pairsOf),
  zset: byScan('ZSCAN', pairsOf), // scores stay the text that Redis sends, which is exact, and may be "inf"
  stream: {
    first: '-',
    command: (key, cursor, count) => command('XRANGE', key, cursor, '+', 'COUNT', String(count)),
    read: (reply, _cursor, count) => {
      const items = asList(reply).map((entry) => {
        const [id, fields] = asList(entry)
        return [asBytes(id), asList(fields).map(asBytes)]
      })
      const last = asList(reply).at(-1)
      return {
        items,
        next: last === undefined || items.length < count ? null : idAfter(asText(asList(last)[0])),
      }
    },
  },
}

function byScan(name: string, itemsOf: (items: Buffer[]) => Item[]): Pages {
  return {
    first: firstCursor,
    command: (key, cursor, count) => command(name, key, cursor, 'COUNT', String(count)),
    read: (reply) => {
      const { cursor, items } = readScan(reply)
      return { items: itemsOf(items.map(asBytes)), next: cursor === firstCursor ? null : cursor }
    },
  }
}

function pairsOf(items: readonly Buffer[]): Item[] {
  if (items.length % 2 !== 0) {
    throw new StoreUnavailable(`The cache gave ${items.length} parts of pairs, which is an odd number`)
  }
  return Array.from({ length: items.length / 2 }, (_, pair) => items.slice(2 * pair, 2 * pair + 2))
}

/** The least id of a stream that is greater: ids are two numbers of 64 bits. */
function idAfter(id: string): string {
  const [time = '0', sequence = '0'] = id.split('-')
  const largest = 2n ** 64n - 1n
  return BigInt(sequence) < largest ? `${time}-${BigInt(sequence) + 1n}` : `${BigInt(time) + 1n}-0`
}
