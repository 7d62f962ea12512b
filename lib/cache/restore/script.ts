import { isUtf8 } from 'node:buffer'
import type { Fence } from '../../ledger/fence.ts'
import type { Command, Reply } from '../../redis/reply.ts'
import { checkFence } from '../fence.ts'
import { fenceKey } from '../keys.ts'
import { comparedItems, digestSalt, digestScript } from '../value/digest.ts'
import { typeOfKey } from '../value/script-keys.ts'

/** An argument as the script reads it, and the bytes it takes in the JSON of a request. */
type Argument = { text: string; bytes: number }

/** A command inside a script: its name and arguments, and the bytes of all of them. */
export type ScriptCommand = {
  parts: readonly Argument[]
  bytes: number
  /** The step goes on when the server refuses it: an older one does not know all arguments. */
  optional?: true
}

/**
 * One step of building a value under a temporary key. Steps of one key count from 1, and each runs once, however often
 * it is sent; `number` 0 is a step that may be repeated as it is. `needs`: a key that an earlier step wrote.
 */
export type ScriptStep = {
  temporary: string
  number: number
  needs: string | null
  commands: readonly ScriptCommand[]
  /** Keys that are there already; declared, so that a server that keeps them on disk loads them before it begins. */
  targets: readonly Buffer[]
  /** Nothing is done unless each of these keys, if it is there, has one of the digests. */
  checks: readonly ValueCheck[]
}

/** A key that is replaced, and the digests of the values of which nothing is lost thereby. */
export type ValueCheck = { key: Buffer; digests: readonly string[] }

/** How long what is unfinished stays, in milliseconds: longer than an invocation may last. */
export const unfinishedMs = 3_600_000

/**
 * Runs the commands of a step in one piece: nobody sees them half-done. The first that fails ends it, and takes the
 * temporary key with it. Arguments say by their first character what they are: `=` text, `#` hex, `@` the name of a key.
 */
const script = `${checkFence}${typeOfKey}${digestScript}
local bytes = {}
for byte = 0, 255 do bytes[string.format('%02x', byte)] = string.char(byte) end
local function value(argument)
  local kind, rest = argument:sub(1, 1), argument:sub(2)
  if kind == '@' then return redis.call('GET', rest) end
  if kind == '=' then return rest end
  return (rest:gsub('..', bytes))
end
local temporary, number, needs = ARGV[2], tonumber(ARGV[3]), ARGV[4]
local counter = temporary .. ':step'
if number > 0 then
  local done = tonumber(redis.call('GET', counter) or '0')
  if done >= number then return 0 end
  if done < number - 1 then return { err = 'ERR an earlier step is lost' } end
end
if needs ~= '' and redis.call('EXISTS', needs) == 0 then return { err = 'ERR the unfinished value is lost' } end
local function isLost(key, digests)
  local type = typeOf(key)
  if type == 'none' then return false end
  if type ~= 'string' and not sizes[type] or sizeOf(key, type) > ${comparedItems} then return true end
  return not digests:find(digestOf(key, type), 1, true)
end
salt = ARGV[7]
local at, changed = 8, {}
for i = 1, tonumber(ARGV[5]) do
  if isLost(value(ARGV[at]), ARGV[at + 1]) then changed[#changed + 1] = string.format('%d', i - 1) end
  at = at + 2
end
if #changed > 0 then return ARGV[6] .. ' ' .. table.concat(changed, ' ') end
while at <= #ARGV do
  local command = {}
  local optional = ARGV[at]:sub(1, 1) == '?'
  for i = 1, tonumber(optional and ARGV[at]:sub(2) or ARGV[at]) do command[i] = value(ARGV[at + i]) end
  local reply = redis.pcall(unpack(command))
  if type(reply) == 'table' and reply.err and not optional then
    redis.call('UNLINK', temporary, counter)
    return reply
  end
  at = at + #command + 1
end
if number > 0 then redis.call('SET', counter, number, 'PX', ${unfinishedMs}) end
return 1`

/** The step as one command, which is atomic. */
export function stepCommand(
  fence: Fence,
  { temporary, number, needs, commands, targets, checks }: ScriptStep,
): Command {
  const keys = [fenceKey, ...targets.filter((key) => isUtf8(key)).map((key) => key.toString())]
  const compared = checks.flatMap(({ key, digests }) => [argumentOf(key).text, digests.join(' ')])
  const args = commands.flatMap(({ parts, optional }) => [
    `${optional ? '?' : ''}${parts.length}`,
    ...parts.map(({ text }) => text),
  ])
  return [
    ...(['EVAL', script, String(keys.length)] as const),
    ...keys,
    ...[String(fence.number), temporary, String(number), needs ?? '', String(checks.length), words.first],
    digestSalt,
    ...compared,
    ...args,
  ]
}

/** The step, when it may have been done: what its checks find may have been written after that. */
export function stepAgain(step: Command): Command {
  return step.with(3 + Number(step[2]) + 5, words.again) as unknown as Command
}

/** What the script says before the positions of the checks that failed. */
const words = { first: 'CHANGED', again: 'UNCLEAR' }

/** Which of the step's checks failed, by their positions; none: the step was done. `isUnclear`: it may have been done before. */
export function failedChecks(reply: Reply | undefined): { positions: number[]; isUnclear: boolean } {
  const [word = '', ...positions] = Buffer.isBuffer(reply) ? reply.toString().split(' ') : []
  const isUnclear = word === words.again
  return { positions: isUnclear || word === words.first ? positions.map(Number) : [], isUnclear }
}

export function scriptCommand(...args: readonly (string | Buffer | Argument)[]): ScriptCommand {
  const parts = args.map((arg) => (typeof arg === 'string' || Buffer.isBuffer(arg) ? argumentOf(arg) : arg))
  return { parts, bytes: parts.reduce((sum, { bytes }) => sum + bytes, 0) }
}

/** Bytes as an argument: JSON holds only text, so others go as hex. */
export function argumentOf(value: string | Buffer): Argument {
  if (typeof value !== 'string' && !isUtf8(value)) {
    return { text: `#${value.toString('hex')}`, bytes: 2 * value.length + 4 }
  }
  const text = `=${value.toString()}`
  return { text, bytes: Buffer.byteLength(JSON.stringify(text)) + 1 }
}

/** What argumentOf was given. */
export function bytesOf({ text }: Argument): Buffer {
  return Buffer.from(text.slice(1), text.startsWith('#') ? 'hex' : 'utf8')
}

/** The value of a string key as an argument, for what is too large for one request. */
export function stagedIn(key: string): Argument {
  return { text: `@${key}`, bytes: Buffer.byteLength(JSON.stringify(key)) + 2 }
}
