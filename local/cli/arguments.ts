import { parseArgs } from 'node:util'
import { InvalidRequest, messageOf } from '../../lib/errors.ts'
import { didYouMean } from './did-you-mean.ts'
import type { Command } from './table/command.ts'
import { type CommandName, commands } from './table/commands.ts'
import { type Flags, optionTexts } from './table/options.ts'

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
 * @returns `help` or `version` when only these are asked for
 * @throws WrongUsage
 */
export function readArguments(args: readonly string[]): Arguments | 'help' | 'version' {
  const at = args.findIndex((arg) => !arg.startsWith('-'))
  const before = at === -1 ? args : args.slice(0, at)
  if (before.some((arg) => arg === '--help' || arg === '-h')) return 'help'
  if (before.some((arg) => arg === '--version' || arg === '-V')) return 'version'
  const unknown = before.find((arg) => arg !== '--json')
  if (unknown !== undefined)
    throw new WrongUsage(`${unknown} stands before the command. The command comes first`)
  const name = args[at]
  if (name === undefined) throw new WrongUsage('A command is missing')
  if (!isCommand(name)) throw noCommand(name)
  const { options, argument, second }: Command = commands[name]
  const { values, positionals } = parse(name, [...before, ...args.slice(at + 1)])
  const most = [argument, second].filter((one) => one !== undefined).length
  if (positionals.length > most) {
    throw new WrongUsage(`"${positionals[most]}" is too much for the command ${name}`, name)
  }
  const flags = Object.fromEntries(
    options.flatMap((option) => (option in values ? [[option, values[option]]] : [])),
  )
  if (flags['token-file'] !== undefined && flags.api === undefined)
    throw new WrongUsage('--token-file holds the token for --api, which is missing', name)
  if (flags['into-empty'] && flags.api !== undefined)
    throw new WrongUsage(
      '--into-empty makes tables in the database itself, so it does not go with --api',
      name,
    )
  if (name === 'upload' && flags.api !== undefined)
    throw new WrongUsage(
      'upload writes and signs at the services themselves, so it does not go with --api',
      name,
    )
  const [first, other] = positionals
  return { command: name, argument: first, ...(other !== undefined && { second: other }), flags }
}

function parse(name: CommandName, args: string[]) {
  const config = Object.fromEntries(commands[name].options.map((option) => [option, optionTexts[option]]))
  try {
    return parseArgs({ args, options: config, allowPositionals: true, strict: true })
  } catch (error) {
    const message = messageOf(error).replace(/\. To specify a positional.*/s, '')
    const said = /^Unknown option '(-.+)'$/.exec(message)?.[1]
    const names = commands[name].options.map((option) => `--${option}`)
    throw new WrongUsage(
      said === undefined ? message : `${message}.${didYouMean(said, names)}`.replace(/\.$/, ''),
      name,
    )
  }
}

/** What is said to who says a command that there is not. */
export function noCommand(name: string): WrongUsage {
  const names = Object.keys(commands)
  return new WrongUsage(
    `There is no command "${name}".${didYouMean(name, names)} The commands are ${names.join(', ')}`,
  )
}

export function isCommand(name: string): name is CommandName {
  return Object.hasOwn(commands, name)
}
