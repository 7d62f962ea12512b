import { type BinaryRedis, refusal } from '../../redis/binary-redis.ts'
import { command } from '../../redis/command.ts'
import { asList, asNumber } from '../../redis/reply.ts'
import { isWrongType } from '../../redis/rest-answer.ts'
import type { Item } from './pages.ts'

/** Of one command: fields, and bytes of their names; a longer name is asked for alone. */
const limits = { fields: 1_000, bytes: 256 * 2 ** 10 }

/** Some fields of one hash, with their values. */
export type Fields = { key: Buffer; items: Item[] }

/**
 * Pages of hashes with the moment at which each field expires: a field that does is `[field, value, milliseconds since
 * 1970]`, one that has gone meanwhile is left out. All pages are asked about in as few requests as they take.
 * @see docs/decisions.md#when-a-field-of-a-hash-expires-is-part-of-its-value
 */
export async function withExpiry(cache: BinaryRedis, pages: readonly Fields[]): Promise<Item[][]> {
  const questions = pages.flatMap(({ key, items }, page) =>
    groupsOf(items as Buffer[][]).map((group) => ({ page, key, group })),
  )
  const found: Item[][] = pages.map(() => [])
  for (let start = 0; start < questions.length; ) {
    let end = start
    for (let bytes = 0; end < questions.length && bytes <= limits.bytes; end++)
      bytes += bytesOf(questions[end]?.group ?? [])
    const some = questions.slice(start, end)
    const commands = some.map(({ key, group }) =>
      command(
        'HPEXPIRETIME',
        key,
        'FIELDS',
        String(group.length),
        ...group.map(([field]) => field as Buffer),
      ),
    )
    const answers = await cache.send(commands)
    for (const [index, { page, group }] of some.entries()) {
      const { error, result = null } = answers[index] ?? {}
      if (error !== undefined && !isWrongType(error)) {
        throw refusal(cache.host, ['HPEXPIRETIME'], error)
      }
      // Replaced by a value of another type: what was read of it is torn, and its digest will say so.
      const times = error === undefined && result !== null ? asList(result).map(asNumber) : []
      for (const [at, item] of group.entries()) {
        const time = times[at] ?? none
        if (time !== gone) found[page]?.push(time === none ? item : [...item, Buffer.from(String(time))])
      }
    }
    start = end
  }
  return found
}

/** What HPEXPIRETIME says of a field that does not expire, and of one that is not there. */
const none = -1
const gone = -2

/** When a field expires, in milliseconds since 1970; null: never. */
export function expiryOf(item: Item): number | null {
  return Buffer.isBuffer(item) || item.length < 3 ? null : Number(item[2])
}

/** The fields without what they say of their expiry. */
export function withoutExpiry(items: readonly Item[]): Item[] {
  return items.map((item) => (Buffer.isBuffer(item) ? item : item.slice(0, 2)))
}

function groupsOf(items: readonly Buffer[][]): Buffer[][][] {
  const groups: Buffer[][][] = []
  let bytes = 0
  for (const item of items) {
    const last = groups.at(-1)
    const size = item[0]?.length ?? 0
    bytes += size
    if (last !== undefined && last.length < limits.fields && bytes <= limits.bytes) last.push(item)
    else {
      groups.push([item])
      bytes = size
    }
  }
  return groups
}

function bytesOf(group: readonly Buffer[][]): number {
  return group.reduce((sum, [field]) => sum + (field?.length ?? 0), 0)
}
