import { isUtf8 } from 'node:buffer'
import type { Fence } from '../ledger/fence.ts'
import type { BinaryRedis } from '../redis/binary-redis.ts'
import { chunksOf } from '../redis/chunks.ts'
import { asText, type Command, type Reply } from '../redis/reply.ts'
import { askFenced, checkFence } from './fence.ts'
import { fenceKey } from './keys.ts'
import { comparedItems, digestScript } from './value/digest.ts'

/** Of one script: keys, and elements that it compares before it leaves the rest to the next. */
const scriptLimits = { keys: 1_000, items: 50_000 }

/**
 * What a key must be to be deleted: 16 digits, its value as ValueDigest has it; `'*'`: whatever it is; `''`: no backup holds
 * it, so it stays. A `!` before it: it is not quarantined either.
 */
type ExpectedDigest = string

/**
 * What became of a key: deleted; not there; not deleted because its value is another one, which with `quarantine` means that it
 * was renamed; of a type that is kept; or of more elements than are compared.
 */
export type KeyFate = 'deleted' | 'absent' | 'changed' | 'renamed' | 'kept' | 'large'

const fates: Record<string, KeyFate> = {
  d: 'deleted',
  n: 'absent',
  c: 'changed',
  a: 'renamed',
  k: 'kept',
  l: 'large',
}

/**
 * ARGV: fencing number, prefix of keys that are quarantined ('' to quarantine none), kept types between commas, items; then
 * what is expected of each key in KEYS, and pairs of a key in hex and what is expected of it. Answers with a letter for
 * each key, and stops early, after at least one, when it has compared many elements: nobody else is served meanwhile.
 */
const script = `${checkFence}${digestScript}
local aside, kept, left = ARGV[2], ARGV[3], tonumber(ARGV[4])
local fates = {}
local function fateOf(key, expected)
  local type = redis.call('TYPE', key)
  if type ~= nil and type.ok then type = type.ok end
  if type == 'none' then return 'n' end
  if kept:find(',' .. type .. ',', 1, true) then return 'k' end
  left = left - 1
  if expected ~= '*' then
    local aside, digest = aside, ''
    if expected:sub(1, 1) == '!' then aside, expected = '', expected:sub(2) end
    if expected ~= '' then
      local size = sizeOf(key, type)
      if size > ${comparedItems} then return 'l' end
      left = left - size
      digest = digestOf(key, type)
    end
    if digest ~= expected or expected == '' then
      if aside == '' or key:sub(1, #aside) == aside or redis.call('EXISTS', aside .. key) == 1 then return 'c' end
      redis.call('RENAME', key, aside .. key)
      return 'a'
    end
  end
  return redis.call('UNLINK', key) == 1 and 'd' or 'n'
end
local at = 5
for i = 2, #KEYS do
  if left <= 0 then return table.concat(fates) end
  fates[#fates + 1] = fateOf(KEYS[i], ARGV[at])
  at = at + 1
end
while at < #ARGV do
  if left <= 0 then return table.concat(fates) end
  local key = ARGV[at]:gsub('..', function(byte) return string.char(tonumber(byte, 16)) end)
  fates[#fates + 1] = fateOf(key, ARGV[at + 1])
  at = at + 2
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
  let wanted = [...keys.filter((key) => isUtf8(key)), ...keys.filter((key) => !isUtf8(key))]
  for (let first = true; wanted.length > 0 || (first && besides !== undefined); first = false) {
    const chunks = chunksOf(wanted, scriptLimits.keys)
    const commands = chunks.map((chunk) => commandOf(fence, { keys: chunk, expected, quarantine, keptTypes }))
    const extra = first && besides !== undefined ? [besides] : []
    const replies = await askFenced(cache, fence, [...commands, ...extra])
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
    wanted = rest
  }
  return { fates: result, besides: reply }
}

function commandOf(fence: Fence, { keys, expected, quarantine, keptTypes }: Unlinking): Command {
  const text = keys.filter((key) => isUtf8(key))
  const binary = keys.filter((key) => !isUtf8(key))
  return [
    ...(['EVAL', script, String(1 + text.length), fenceKey] as const),
    ...text.map((key) => key.toString()),
    ...[String(fence.number), quarantine ?? '', `,${keptTypes.join(',')},`, String(scriptLimits.items)],
    ...text.map(expected),
    ...binary.flatMap((key) => [key.toString('hex'), expected(key)]),
  ]
}
