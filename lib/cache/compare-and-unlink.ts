import { counted } from '../amounts.ts'
import { StoreUnavailable } from '../errors.ts'
import type { Fence } from '../ledger/fence.ts'
import type { BinaryRedis } from '../redis/binary-redis.ts'
import { chunksOf } from '../redis/chunks.ts'
import { asText, type Command, type Reply } from '../redis/reply.ts'
import { askFenced, checkFence } from './fence.ts'
import { fenceKey } from './keys.ts'
import { comparedItems, digestSalt, digestScript } from './value/digest.ts'
import { bytesOfHex, eachKey, inScriptOrder, scriptKeys, typeOfKey } from './value/script-keys.ts'

/** Of one script: keys, and elements that it compares before it leaves the rest to the next. */
const scriptLimits = { keys: 1_000, items: 50_000 }

/**
 * What a key must be to be deleted: 16 digits, its value as ValueDigest has it; `'*'`: whatever it is; `''`: no backup holds
 * it, so it stays. A `!` before it: it may have been deleted before, so that another value may have come after that.
 */
export type ExpectedDigest = string

/**
 * What became of a key: deleted; not there; not deleted because its value is another one, which with `quarantine` means that it
 * was renamed; left, because that value may have come after one that was deleted; of a type that is kept; or of more
 * elements than are compared.
 */
export type KeyFate = 'deleted' | 'absent' | 'changed' | 'renamed' | 'unclear' | 'kept' | 'large'

const fates: Record<string, KeyFate> = {
  d: 'deleted',
  n: 'absent',
  c: 'changed',
  a: 'renamed',
  u: 'unclear',
  k: 'kept',
  l: 'large',
}

/** Bytes of a string that are read before anything is asked about its key: mostly that is all there is to ask. */
const shortString = 4_096

/**
 * ARGV: fencing number, prefix of keys that are quarantined ('' to quarantine none), kept types between commas, items, what
 * is expected of each key (cellOf, 17 characters each), the salt, and those keys in hex that are no text; the others are in KEYS.
 * Answers with a letter for each key, and stops early, after at least one, when it has compared many elements: nobody else
 * is served meanwhile. What is to go is unlinked at the end, with one command for many.
 */
const script = `${checkFence}${bytesOfHex}${typeOfKey}${digestScript}
local aside, kept, left, cells = ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
salt = ARGV[6]
local unpack = unpack or table.unpack
local keepsStrings = kept:find(',string,', 1, true) ~= nil
local fates, gone, goneAt = {}, {}, {}
local function go(key)
  gone[#gone + 1], goneAt[#gone + 1] = key, #fates + 1
  return 'd'
end
local function shortDigest(key)
  local value = redis.pcall('GETRANGE', key, '0', '${shortString - 1}')
  if type(value) ~= 'string' or value == '' or #value == ${shortString} then return nil end
  left = left - math.floor(#value / 512)
  return digestOfString(key, value)
end
local function fateOf(key, mark, expected)
  left = left - 1
  if mark == '*' and kept == ',,' then return go(key) end
  local digest = (mark == '=' or mark == '!') and not keepsStrings and shortDigest(key) or nil
  if digest == expected then return go(key) end
  local type = typeOf(key)
  if type == 'none' then return 'n' end
  if kept:find(',' .. type .. ',', 1, true) then return 'k' end
  if mark == '*' then return go(key) end
  local size = digest == nil and mark ~= '-' and sizeOf(key, type)
  if size then
    if size > ${comparedItems} then return 'l' end
    left = left - size
    if digestOf(key, type) == expected then return go(key) end
  end
  if mark == '!' then return 'u' end
  if aside == '' or key:sub(1, #aside) == aside or redis.call('EXISTS', aside .. key) == 1 then return 'c' end
  redis.call('RENAME', key, aside .. key)
  return 'a'
end
local function add(key)
  local at = 17 * #fates
  fates[#fates + 1] = fateOf(key, cells:sub(at + 1, at + 1), cells:sub(at + 2, at + 17))
end
${eachKey('add', { keys: 2, hex: 7 })}for from = 1, #gone, 1000 do
  local last = math.min(from + 999, #gone)
  local count = redis.call('UNLINK', unpack(gone, from, last))
  for i = from + count, last do fates[goneAt[i]] = 'n' end
end
return table.concat(fates)`

export type Unlinking = {
  keys: readonly Buffer[]
  expected: (key: Buffer) => ExpectedDigest
  /** What keys that changed are renamed to begin with; null: they stay as they are. */
  quarantine: string | null
  keptTypes: readonly string[]
}

/**
 * Deletes keys that are what they are expected to be, compared and deleted in one piece by the server, and runs one more
 * command in the same request.
 * @returns each key's fate, and the answer to the other command
 * @throws RunLost when another run acts on the cache; StoreUnavailable, NotPermitted
 * @see docs/decisions.md#a-key-is-compared-by-the-script-that-deletes-it
 */
export async function compareAndUnlink(
  cache: BinaryRedis,
  fence: Fence,
  { keys, expected, quarantine, keptTypes }: Unlinking,
  besides?: Command,
): Promise<{ fates: Map<Buffer, KeyFate>; besides: Reply | undefined }> {
  const result = new Map<Buffer, KeyFate>()
  let reply: Reply | undefined
  let wanted = inScriptOrder(keys)
  for (let first = true; wanted.length > 0 || (first && besides !== undefined); first = false) {
    const chunks = chunksOf(wanted, scriptLimits.keys)
    const commands = chunks.map((chunk) => commandOf(fence, { keys: chunk, expected, quarantine, keptTypes }))
    const extra = first && besides !== undefined ? [besides] : []
    const replies = await askFenced(cache, fence, [...commands, ...extra], askedAgain)
    if (first && besides !== undefined) reply = replies.at(-1)
    const rest: Buffer[] = []
    for (const [index, chunk] of chunks.entries()) {
      const letters = asText(replies[index])
      for (const [position, key] of chunk.entries()) {
        const fate = fates[letters[position] ?? '']
        if (fate === undefined) rest.push(key)
        else result.set(key, fate)
      }
    }
    if (rest.length > 0 && rest.length === wanted.length) {
      throw new StoreUnavailable(
        `The cache at ${cache.host} says of none of ${counted(rest.length, 'key')} what became of it, although its script ran. Start again`,
      )
    }
    wanted = rest
  }
  return { fates: result, besides: reply }
}

function commandOf(fence: Fence, { keys, expected, quarantine, keptTypes }: Unlinking): Command {
  const { texts, hex } = scriptKeys(keys)
  const cells = keys.map((key) => cellOf(expected(key))).join('')
  return [
    ...(['EVAL', script, String(1 + texts.length), fenceKey] as const),
    ...texts,
    ...[String(fence.number), quarantine ?? '', `,${keptTypes.join(',')},`, String(scriptLimits.items)],
    ...[cells, digestSalt, ...hex],
  ]
}

/**
 * The same, when it may have been done: what differs now may have been written after its key was deleted.
 * @see docs/decisions.md#a-key-is-compared-by-the-script-that-deletes-it
 */
function askedAgain(command: Command): Command {
  if (command[1] !== script) return command
  const at = 3 + Number(command[2]) + 4
  return command.with(at, command[at]?.replaceAll('=', '!') ?? '') as unknown as Command
}

const nothing = ' '.repeat(16)

/** 17 characters: how the key is to be looked at, and its digest. */
function cellOf(expected: ExpectedDigest): string {
  if (expected === '*') return `*${nothing}`
  if (expected === '') return `-${nothing}`
  return expected.startsWith('!') ? expected : `=${expected}`
}
