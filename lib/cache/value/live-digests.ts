import { StoreUnavailable } from '../../errors.ts'
import type { BinaryRedis } from '../../redis/binary-redis.ts'
import { chunksOf } from '../../redis/chunks.ts'
import { asText, type Command } from '../../redis/reply.ts'
import { comparedItems, digestSalt, digestScript } from './digest.ts'
import { bytesOfHex, eachKey, inScriptOrder, scriptKeys, typeOfKey } from './script-keys.ts'

/** Of one script: keys, and elements that it reads before it leaves the rest to the next. */
const scriptLimits = { keys: 1_000, items: 50_000 }

/**
 * ARGV: elements that are read, whether counters count, the salt, and those keys in hex that are no text; the others are in KEYS. Answers with
 * 16 characters for each key, and stops early, after at least one, when it has read many elements: nobody else is served meanwhile.
 */
const script = `${bytesOfHex}${typeOfKey}${digestScript}
counters, salt = ARGV[2] == 'counters', ARGV[3]
local left, found = tonumber(ARGV[1]), {}
local function add(key)
  left = left - 1
  local type = typeOf(key)
  if type == 'none' then found[#found + 1] = 'absent..........' return end
  local size = sizeOf(key, type)
  if size == nil or size == false or size > ${comparedItems} then found[#found + 1] = 'uncompared......' return end
  left = left - size
  found[#found + 1] = digestOf(key, type)
end
${eachKey('add', { keys: 1, hex: 4 })}return table.concat(found)`

/**
 * What ValueDigest makes of each key, made by the server of what it holds now; null: it has more elements than are compared,
 * or is of a type that no backup holds; a key that is gone is not among them. Nothing is changed.
 * @param counters as ValueDigest has it
 * @throws StoreUnavailable, NotPermitted
 */
export async function liveDigests(
  cache: BinaryRedis,
  keys: readonly Buffer[],
  { counters = false } = {},
): Promise<Map<Buffer, string | null>> {
  const digests = new Map<Buffer, string | null>()
  let wanted = inScriptOrder(keys)
  while (wanted.length > 0) {
    const chunks = chunksOf(wanted, scriptLimits.keys)
    const replies = await cache.ask(chunks.map((chunk) => commandOf(chunk, counters)))
    const rest: Buffer[] = []
    for (const [index, chunk] of chunks.entries()) {
      const answers = asText(replies[index])
      for (const [place, key] of chunk.entries()) {
        const answer = answers.slice(16 * place, 16 * place + 16)
        if (answer === '') rest.push(key)
        else if (!answer.startsWith('absent')) digests.set(key, answer.startsWith('u') ? null : answer)
      }
    }
    if (rest.length === wanted.length)
      throw new StoreUnavailable(
        `The cache at ${cache.host} answered a script with nothing, although it ran. Start again`,
      )
    wanted = rest
  }
  return digests
}

function commandOf(keys: readonly Buffer[], counters: boolean): Command {
  const { texts, hex } = scriptKeys(keys)
  const asked = [String(scriptLimits.items), counters ? 'counters' : '', digestSalt]
  return ['EVAL', script, String(texts.length), ...texts, ...asked, ...hex]
}
