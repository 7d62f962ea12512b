import { parseArgs } from 'node:util'
import { InvalidRequest, messageOf } from '../../lib/errors.ts'
import { type Command, type CommandName, commands, type Flags, optionTexts } from './commands.ts'

export type Arguments = {
  command: CommandName
  /** What stands after the command. */
  argument: string | undefined
  second?: string | undefined
  flags: Flags
}

/** The command line is wrong; `command` is the one whose help is near. */
export class WrongUsage extends InvalidRequest {
  readonly command: CommandName | undefined
  constructor(message: string, command?: CommandName) {
    super(message)
    this.command = command
  }
}

/**
 * @returns undefined when only the help is asked for
 * @throws WrongUsage
 */
export function readArguments(args: readonly string[]): Arguments | undefined {
  const at = args.findIndex((arg) => !arg.startsWith('-'))
  const before = at === -1 ? args : args.slice(0, at)
  if (before.some((arg) => arg === '--help' || arg === '-h')) return undefined
  const unknown = before.find((arg) => arg !== '--json')
  if (unknown !== undefined)
    throw new WrongUsage(`${unknown} stands before the command. The command comes first`)
  const name = args[at]
  if (name === undefined) throw new WrongUsage('A command is missing')
  if (!isCommand(name)) {
    throw new WrongUsage(
      `There is no command "${name}". The commands are ${Object.keys(commands).join(', ')}`,
    )
  }
  const { options, argument, second }: Command = commands[name]
  const { values, positionals } = parse(name, [...before, ...args.slice(at + 1)])
  const most = [argument, second].filter((one) => one !== undefined).length
  if (positionals.length > most) {
    throw new WrongUsage(`"${positionals[most]}" is too much for the command ${name}`, name)
  }
  const flags = Object.fromEntries(
    options.flatMap((option) => (option in values ? [[option, values[option]]] : [])),
  )
  const [first, other] = positionals
  return { command: name, argument: first, ...(other !== undefined && { second: other }), flags }
}

function parse(name: CommandName, args: string[]) {
  const config = Object.fromEntries(commands[name].options.map((option) => [option, optionTexts[option]]))
  try {
    return parseArgs({ args, options: config, allowPositionals: true, strict: true })
  } catch (error) {
    throw new WrongUsage(messageOf(error).replace(/\. To specify a positional.*/s, ''), name)
  }
}

function isCommand(name: string): name is CommandName {
  return Object.hasOwn(commands, name)
}
