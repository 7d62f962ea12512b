import { lastMoment } from './expiry.ts'
import { bytesOfHex, eachKey, typeOfKey } from './script-keys.ts'

/** Bytes of a value that are read before its length is asked: mostly that is all of it. */
const shortString = 4_096

/**
 * ARGV: how the expiry is told, bytes from which on a value is left out, bytes of all. `read` adds a key's expiry, length and
 * value to what is found, or an "x" for a key that is gone, empty, longer or no string. Of values that are left out
 * only the length is asked, or thousands of them would keep the server busy for seconds.
 */
const beginning = `local exact, most, left = ARGV[1] == 'PEXPIRETIME', tonumber(ARGV[2]), tonumber(ARGV[3])
local found = {}
${typeOfKey}local function read(key)
  local type = typeOf(key)
  local value = type == 'string' and redis.call('GETRANGE', key, 0, ${shortString - 1}) or ''
  if #value == ${shortString} then
    value = redis.call('STRLEN', key) < most and redis.call('GET', key) or ''
  end
  if value == '' or #value >= most then
    found[#found + 1] = 'x'
    return
  end
  local expiry = exact and redis.call('PEXPIRETIME', key) or redis.call('PTTL', key)
  found[#found + 1] = string.format('%.0f:%d:', math.min(expiry, ${lastMoment}), #value)
  found[#found + 1] = value
  left = left - #value
end
`

/**
 * One text, because a list is taken apart three times on its way; and with a digest, because it may hold any bytes, and who
 * is in between might take it for text.
 */
const answered = `local text, time = table.concat(found), redis.call('TIME')
return { redis.sha1hex(text), time[1], time[2], text`

/**
 * Reads the strings among given keys. ARGV goes on with keys in hex, as those that are text are in KEYS. Answers with a digest
 * of the rest of the answer, the server's time, and what was found of each key; it ends early when that is many bytes.
 */
export const readScript = `${beginning}${bytesOfHex}${eachKey('read', { keys: 1, hex: 4 })}${answered} }`

/** Pages of a SCAN in one script at most, when they hold few keys. */
const pagesAtOnce = 4

/**
 * Reads the strings among the keys that a SCAN finds. ARGV goes on with cursor, pattern and COUNT. Answers as `readScript`
 * does, and with the next cursor; before what was found of a key come its length and the key, and where there were too
 * many bytes to come to it, a "y" is all that comes behind it.
 */
export const scanScript = `${beginning}local cursor, count, keys, pages = ARGV[4], tonumber(ARGV[6]), 0, 0
repeat
  local page = redis.call('SCAN', cursor, 'MATCH', ARGV[5], 'COUNT', count)
  cursor = page[1]
  for _, key in ipairs(page[2]) do
    found[#found + 1] = string.format('%d:', #key)
    found[#found + 1] = key
    left = left - #key
    if left > 0 then read(key) else found[#found + 1] = 'y' end
  end
  keys, pages = keys + #page[2], pages + 1
until cursor == '0' or keys * 2 > count or left <= 0 or pages == ${pagesAtOnce}
${answered}, cursor }`
