import { isUtf8 } from 'node:buffer'
import type { Command } from './reply.ts'

/** Runs one command whose name and arguments are given in hex. */
const runHex = `local c = {}
for i, hex in ipairs(ARGV) do
  c[i] = hex:gsub('..', function(byte) return string.char(tonumber(byte, 16)) end)
end
return redis.call(unpack(c))`

/** A command with arguments of any bytes. JSON holds only text, so others go as hex, through a script. */
export function command(name: string, ...args: readonly (string | Buffer)[]): Command {
  if (args.every((argument) => typeof argument === 'string' || isUtf8(argument))) {
    return [name, ...args.map((argument) => argument.toString())]
  }
  return ['EVAL', runHex, '0', ...[name, ...args].map((argument) => Buffer.from(argument).toString('hex'))]
}

/** Arguments of a script as text when all of them are UTF-8, and all as hex otherwise. */
export function textOrHex(args: readonly Buffer[]): { encoding: 'text' | 'hex'; texts: string[] } {
  const encoding = args.every((argument) => isUtf8(argument)) ? 'text' : 'hex'
  return { encoding, texts: args.map((argument) => argument.toString(encoding === 'hex' ? 'hex' : 'utf8')) }
}
