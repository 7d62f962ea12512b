import { isUtf8 } from 'node:buffer'
import { hash } from 'node:crypto'
import type { BinaryRedis } from '../../redis/binary-redis.ts'
import { asBytes, asList, asNumber, asText, type Command } from '../../redis/reply.ts'
import { AnswerTooLarge } from '../../redis/rest-answer.ts'
import type { KeyHead } from './lines.ts'

/** Bytes of values that one script gives before it leaves the rest to the next. */
const bytesAtOnce = 2 ** 20

/** A string that was read whole, value and expiry at the same moment. */
export type ReadString = { head: KeyHead; value: Buffer }

/**
 * ARGV: how the expiry is told, bytes from which on a value is left out, bytes of all; then keys in hex, as those that are
 * text are in KEYS. Answers with a digest of the rest of the answer, the server's time, and one text: for each key its
 * expiry, its length and its value, or an "x" for a key that is gone, empty, longer or no string. It ends early when it has
 * many bytes; of values that are left out only the length is asked, or thousands of them would keep the server busy for seconds.
 * One text, because a list is taken apart three times on its way; and with a digest, because it may hold any
 * bytes, and who is in between might take it for text.
 */
const script = `local exact, most, left = ARGV[1] == 'PEXPIRETIME', tonumber(ARGV[2]), tonumber(ARGV[3])
local found = {}
local function read(key)
  local type = redis.call('TYPE', key)
  if type ~= nil and type.ok then type = type.ok end
  local length = type == 'string' and redis.call('STRLEN', key) or 0
  if length == 0 or length >= most then
    found[#found + 1] = 'x'
    return
  end
  local value = redis.call('GET', key)
  local expiry = exact and redis.call('PEXPIRETIME', key) or redis.call('PTTL', key)
  found[#found + 1] = string.format('%.0f:%d:', expiry, #value)
  found[#found + 1] = value
  left = left - #value
end
for _, key in ipairs(KEYS) do
  if left <= 0 then break end
  read(key)
end
for at = 4, #ARGV do
  if left <= 0 then break end
  read((ARGV[at]:gsub('..', function(byte) return string.char(tonumber(byte, 16)) end)))
end
local text, time = table.concat(found), redis.call('TIME')
return { redis.sha1hex(text), time[1], time[2], text }`

/** `others` are to be looked at otherwise, `rest` was not come to. */
export type ReadStrings = { strings: ReadString[]; others: Buffer[]; rest: Buffer[] }

/**
 * Reads those of some keys that are strings of fewer than `most` bytes, with one command, and at least one key; all are
 * `others` when the server does not run the script, or its answer is not what it sent.
 * @throws StoreUnavailable, NotPermitted when the cache cannot be asked at all
 * @see docs/decisions.md#strings-are-read-by-a-script-many-with-one-command
 */
export async function readStrings(
  cache: BinaryRedis,
  keys: readonly Buffer[],
  { exactExpiry, most, maxBytes }: { exactExpiry: boolean; most: number; maxBytes: number },
): Promise<ReadStrings> {
  const none = { strings: [], others: [...keys], rest: [] }
  const [text, binary] = [keys.filter((key) => isUtf8(key)), keys.filter((key) => !isUtf8(key))]
  const command: Command = [
    ...(['EVAL', script, String(text.length)] as const),
    ...text.map((key) => key.toString()),
    ...[exactExpiry ? 'PEXPIRETIME' : 'PTTL', String(most), String(Math.min(bytesAtOnce, maxBytes / 2))],
    ...binary.map((key) => key.toString('hex')),
  ]
  try {
    const [answer] = await cache.send([command], { maxBytes })
    if (answer?.result === undefined) return none
    const [digest, seconds, microseconds, found] = asList(answer.result)
    const bytes = asBytes(found)
    if (hash('sha1', bytes, 'hex') !== asText(digest)) return none
    const now = asNumber(seconds) * 1000 + Math.floor(asNumber(microseconds) / 1000)
    return stringsIn(bytes, [...text, ...binary], exactExpiry ? 0 : now)
  } catch (error) {
    if (error instanceof AnswerTooLarge) return none
    throw error
  }
}

/** @param now what a time to live is added to */
function stringsIn(bytes: Buffer, keys: readonly Buffer[], now: number): ReadStrings {
  const strings: ReadString[] = []
  const others: Buffer[] = []
  let at = 0
  for (const [index, key] of keys.entries()) {
    if (at >= bytes.length) return { strings, others, rest: keys.slice(index) }
    if (bytes[at] === notRead) {
      others.push(key)
      at++
      continue
    }
    const [expiry, afterExpiry] = numberIn(bytes, at)
    const [length, start] = numberIn(bytes, afterExpiry)
    at = start + length
    const expiresAt = expiry < 0 ? null : now + expiry
    strings.push({ head: { key, type: 'string', expiresAt }, value: bytes.subarray(start, at) })
  }
  return { strings, others, rest: [] }
}

const [notRead, colon] = [...Buffer.from('x:')]

function numberIn(bytes: Buffer, from: number): [number, after: number] {
  const end = bytes.indexOf(colon as number, from)
  return [Number(bytes.toString('latin1', from, end)), end + 1]
}
