import { isUtf8 } from 'node:buffer'
import type { Command } from './reply.ts'

/** Of one command: a script can be given about 8,000 arguments at most, and a request has its limit in bytes. */
const keysPerCommand = 1_000
const bytesPerCommand = 2 ** 20

/** Runs one command whose name and arguments are given in hex. */
const runHex = `local c = {}
for i, hex in ipairs(ARGV) do
  c[i] = hex:gsub('..', function(byte) return string.char(tonumber(byte, 16)) end)
end
return redis.call(unpack(c))`

/** Unlinks keys given in hex and says how many there were. */
const unlinkHex = `local n = 0
for i, hex in ipairs(ARGV) do
  local key = hex:gsub('..', function(byte) return string.char(tonumber(byte, 16)) end)
  n = n + redis.call('UNLINK', key)
end
return n`

/** A command with arguments of any bytes. JSON holds only text, so others go as hex, through a script. */
export function command(name: string, ...args: readonly (string | Buffer)[]): Command {
  if (args.every((argument) => typeof argument === 'string' || isUtf8(argument))) {
    return [name, ...args.map((argument) => argument.toString())]
  }
  return ['EVAL', runHex, '0', ...[name, ...args].map((argument) => Buffer.from(argument).toString('hex'))]
}

/** UNLINK of any number of keys of any bytes: commands that each answer with a number of keys. */
export function unlink(keys: readonly Buffer[]): Command[] {
  const text = keys.filter((key) => isUtf8(key)).map((key) => key.toString())
  const binary = keys.filter((key) => !isUtf8(key)).map((key) => key.toString('hex'))
  return [
    ...chunksOf(text).map((names): Command => ['UNLINK', ...names]),
    ...chunksOf(binary).map((names): Command => ['EVAL', unlinkHex, '0', ...names]),
  ]
}

function chunksOf(names: readonly string[]): string[][] {
  const chunks: string[][] = []
  let bytes = 0
  for (const name of names) {
    const last = chunks.at(-1)
    bytes += name.length
    if (last !== undefined && last.length < keysPerCommand && bytes <= bytesPerCommand) {
      last.push(name)
    } else {
      chunks.push([name])
      bytes = name.length
    }
  }
  return chunks
}
