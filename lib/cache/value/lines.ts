import { type JsonBytes, toJsonBytes } from './json-bytes.ts'
import type { Item, KeyType } from './pages.ts'
import type { StreamState } from './stream.ts'

type JsonItem = JsonBytes | JsonItem[]

export type KeyHead = {
  key: Buffer
  type: KeyType
  /** When the key expires, in milliseconds since 1970 by the server's clock; null: never. */
  expiresAt: number | null
}

/**
 * One line of a cache part, `{"key":…,"type":…,"value":…,"expiresAt":…}` with its line end. Keys, values, fields
 * and members are JsonBytes. `value` by type:
 * - string: its bytes
 * - list: its elements in order; set: its members
 * - hash: `[[field, value], …]`, or `[field, value, expiresAt]` for a field that expires by itself, its digits as text
 * - zset: `[[member, score], …]`, a score being the text that Redis gives, such as `"0.1"` or `"-inf"`
 * - stream: `[[id, [field, value, field, value, …]], …]`, oldest first
 *
 * The last line of a stream has `stream` as well, see StreamState.
 *
 * A value larger than some MB is several lines, one after the other, with `"part": 1`, `2`, …: a line without `part`,
 * or with part 1, stands for the whole key and replaces what an earlier line said of it; any other continues the line
 * before it (APPEND, RPUSH, SADD, HSET, ZADD, XADD). In parts, an element of a set, hash or zset may come twice.
 */
export function keyLine(
  { key, type, expiresAt }: KeyHead,
  items: readonly Item[],
  { part, stream }: { part?: number | undefined; stream?: StreamState | undefined } = {},
): string {
  const value = type === 'string' ? toJson(joined(items as Buffer[])) : items.map(toJson)
  const numbered = part === undefined ? {} : { part }
  const stated = stream === undefined ? {} : { stream }
  return `${JSON.stringify({ key: toJson(key), type, ...numbered, value, expiresAt, ...stated })}\n`
}

/** The same of a string that was read whole. */
export function stringLine(key: Buffer, value: JsonBytes, expiresAt: number | null): string {
  return `{"key":${JSON.stringify(toJsonBytes(key))},"type":"string","value":${JSON.stringify(value)},"expiresAt":${expiresAt}}\n`
}

/** A large string comes in pieces that are a line each: what is one already is not copied. */
function joined(pieces: readonly Buffer[]): Buffer {
  const [only] = pieces
  return only !== undefined && pieces.length === 1 ? only : Buffer.concat(pieces)
}

/** Bytes that an item takes in a line, at least: with quotation marks and commas, or a line could hold any number of short ones. */
export function sizeOf(item: Item): number {
  return Buffer.isBuffer(item) ? item.length + 3 : item.reduce((sum, part) => sum + sizeOf(part), 3)
}

function toJson(item: Item): JsonItem {
  return Buffer.isBuffer(item) ? toJsonBytes(item) : item.map(toJson)
}
