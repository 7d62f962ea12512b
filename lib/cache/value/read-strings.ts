import { isUtf8 } from 'node:buffer'
import { hash } from 'node:crypto'
import type { BinaryRedis } from '../../redis/binary-redis.ts'
import { asBytes, asList, asNumber, asText, type Command, type Reply } from '../../redis/reply.ts'
import { AnswerTooLarge } from '../../redis/rest-answer.ts'
import { asCursor } from '../../redis/scan.ts'
import { lastMoment } from './expiry.ts'
import { type JsonBytes, toJsonBytes } from './json-bytes.ts'
import { inScriptOrder, scriptKeys } from './script-keys.ts'
import { readScript, scanScript } from './string-scripts.ts'

/** Bytes of values that one script gives before it leaves the rest to the next. */
const bytesAtOnce = 2 ** 20

/** Strings of fewer than `most` bytes are read, and answers of more than `maxBytes` are not taken. */
export type StringsAsked = { exactExpiry: boolean; most: number; maxBytes: number }

/** A string that was read whole, value and expiry at the same moment. */
export type ReadString = { key: Buffer; value: JsonBytes; expiresAt: number | null }

/** `others` are to be looked at otherwise, `rest` was not come to. */
export type ReadStrings = { strings: StringsOfAnswer; others: Buffer[]; rest: Buffer[] }

/**
 * Reads those of some keys that are strings of fewer than `most` bytes, with one command, and at least one key; all are
 * `others` when the server does not run the script, or its answer is not what it sent.
 * @throws StoreUnavailable, NotPermitted when the cache cannot be asked at all
 * @see docs/decisions.md#strings-are-read-by-a-script-many-with-one-command
 */
export async function readStrings(
  cache: BinaryRedis,
  keys: readonly Buffer[],
  asked: StringsAsked,
): Promise<ReadStrings> {
  const { texts, hex } = scriptKeys(keys)
  const names = [String(texts.length), ...texts]
  const found = await run(cache, ['EVAL', readScript, ...names, ...argumentsOf(asked), ...hex], asked)
  if (found === undefined) return { strings: noStrings, others: [...keys], rest: [] }
  return stringsIn(found, inScriptOrder(keys))
}

/**
 * Finds keys from a cursor on, about `count`, and reads what readStrings would. Gives the cursor of the next ones; undefined
 * where readStrings would read nothing, or of this many keys not the names alone could be answered.
 * @throws StoreUnavailable, NotPermitted when the cache cannot be asked at all
 */
export async function scanStrings(
  cache: BinaryRedis,
  { cursor, match, count }: { cursor: string; match: string | undefined; count: number },
  asked: StringsAsked,
): Promise<(ReadStrings & { cursor: string }) | undefined> {
  const where = [cursor, match ?? '*', String(count)]
  const found = await run(cache, ['EVAL', scanScript, '0', ...argumentsOf(asked), ...where], asked)
  return found && { ...stringsIn(found, null), cursor: asCursor(found.cursor) }
}

function argumentsOf({ exactExpiry, most, maxBytes }: StringsAsked): string[] {
  return [exactExpiry ? 'PEXPIRETIME' : 'PTTL', String(most), String(Math.min(bytesAtOnce, maxBytes / 2))]
}

/** What a script answered; `now` is what a time to live is added to. */
type Found = { bytes: Buffer; now: number; cursor: Reply | undefined }

async function run(
  cache: BinaryRedis,
  command: Command,
  { exactExpiry, maxBytes }: StringsAsked,
): Promise<Found | undefined> {
  try {
    const [answer] = await cache.send([command], { maxBytes })
    if (answer?.result === undefined) return undefined
    const [digest, seconds, microseconds, found, cursor] = asList(answer.result)
    const bytes = asBytes(found)
    if (hash('sha1', bytes, 'hex') !== asText(digest)) return undefined
    const time = asNumber(seconds) * 1000 + Math.floor(asNumber(microseconds) / 1000)
    return { bytes, now: exactExpiry ? 0 : time, cursor }
  } catch (error) {
    if (error instanceof AnswerTooLarge) return undefined
    throw error
  }
}

const [colon, minus, zero, notRead, notReached] = [...Buffer.from(':-0xy')]

/** @param keys of which the answer tells, one after the other; null: it tells their names as well */
function stringsIn(found: Found, keys: readonly Buffer[] | null): ReadStrings {
  const strings = new StringsOfAnswer(found, keys)
  const [others, rest]: [Buffer[], Buffer[]] = [[], []]
  let told = 0
  for (const entry of strings.entries()) {
    told++
    if (entry.what === notRead) others.push(strings.keyOf(entry))
    else if (entry.what === notReached) rest.push(strings.keyOf(entry))
    else strings.size++
  }
  if (keys !== null) rest.push(...keys.slice(told))
  return { strings, others, rest }
}

/** What an answer says of one key: where its name is and, when its value was read, where that is. */
type Entry = {
  index: number
  name: number
  nameEnd: number
  what: number | undefined
  expiry: number
  start: number
  end: number
}

/**
 * The strings of an answer. They are made of its bytes when they are taken, and again each time: thousands of keys and values
 * that wait for their turn outlive a collection, and V8 makes more room for new ones each time some do.
 * @see docs/decisions.md#strings-of-an-answer-wait-as-bytes
 */
class StringsOfAnswer implements Iterable<ReadString> {
  size = 0
  readonly #bytes: Buffer
  readonly #now: number
  readonly #keys: readonly Buffer[] | null
  readonly #isText: boolean

  constructor({ bytes, now }: Pick<Found, 'bytes' | 'now'>, keys: readonly Buffer[] | null) {
    this.#bytes = bytes
    this.#now = now
    this.#keys = keys
    // Keys and values have ASCII around them, so that all are UTF-8 when the whole is: one question in place of one for each.
    this.#isText = isUtf8(bytes)
  }

  [Symbol.iterator](): Generator<ReadString> {
    return this.where(() => true)
  }

  *where(test: (key: Buffer) => boolean): Generator<ReadString> {
    for (const entry of this.entries()) {
      const { what, expiry, start, end } = entry
      if (what === notRead || what === notReached) continue
      const key = this.keyOf(entry)
      if (!test(key)) continue
      const value = this.#isText
        ? this.#bytes.toString('utf8', start, end)
        : toJsonBytes(this.#bytes.subarray(start, end))
      yield { key, value, expiresAt: expiry < 0 ? null : Math.min(this.#now + expiry, lastMoment) }
    }
  }

  keysWhere(test: (key: Buffer) => boolean): Buffer[] {
    const keys: Buffer[] = []
    for (const entry of this.entries()) {
      if (entry.what === notRead || entry.what === notReached) continue
      const key = this.keyOf(entry)
      if (test(key)) keys.push(key)
    }
    return keys
  }

  keyOf({ index, name, nameEnd }: Entry): Buffer {
    return this.#keys === null ? this.#bytes.subarray(name, nameEnd) : (this.#keys[index] as Buffer)
  }

  *entries(): Generator<Entry> {
    const bytes = this.#bytes
    let at = 0
    function number(): number {
      const isNegative = bytes[at] === minus
      if (isNegative) at++
      let value = 0
      for (; at < bytes.length && bytes[at] !== colon; at++)
        value = value * 10 + ((bytes[at] as number) - (zero as number))
      at++
      return isNegative ? -value : value
    }
    for (let index = 0; at < bytes.length; index++) {
      const nameLength = this.#keys === null ? number() : 0
      const name = at
      at += nameLength
      const nameEnd = at
      const what = bytes[at]
      const isRead = what !== notRead && what !== notReached
      if (!isRead) at++
      const expiry = isRead ? number() : 0
      const length = isRead ? number() : 0
      const start = at
      at += length
      yield { index, name, nameEnd, what, expiry, start, end: at }
    }
  }
}

/** Where no script was run. */
export const noStrings = new StringsOfAnswer({ bytes: Buffer.alloc(0), now: 0 }, null)
