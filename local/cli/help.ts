import { strategies } from '../../lib/run/strategy.ts'
import { exitCodes } from './exit-code.ts'
import { isPackaged, program } from './program.ts'
import { explained } from './show/width.ts'
import type { Command } from './table/command.ts'
import { type CommandName, commands } from './table/commands.ts'
import { type OptionName, optionTexts } from './table/options.ts'

/** The help of one command, or of all. */
export function helpOf(name?: CommandName): string {
  return name === undefined ? globalHelp() : commandHelp(name, commands[name])
}

const overApi = 'With --api <address> and a token it asks the HTTP API there, and needs none\nof these.'
const onStacks = `It talks to the stack of "npm run dev" when that runs, unless the environment or a file .env in this folder names other
services (DATABASE_URL and the others of .env.example): then to those; else it starts a stack of its own with a sample in it,
which is gone afterwards. ${overApi}`
const onServices = `It talks to the services that the environment or a file .env in this folder names (DATABASE_URL and the others
of .env.example). ${overApi}`

function globalHelp(): string {
  const rows = Object.entries(commands).map(([name, { says }]) => [usageOf(name), says] as const)
  const codes = Object.entries(exitCodes).map(([code, says]) => [code, says] as const)
  return `Usage: ${program} <command> [options]

Resets an application's Postgres, files and cache, after a backup.

Commands:
${explained(rows)}

Strategies:
  ${strategies.join(', ')}

Exit codes:
${explained(codes)}

${isPackaged ? onServices : onStacks} "${program} help <command>" shows the options of a command, --version the version.
`
}

function commandHelp(name: string, { says, options }: Command): string {
  const rows = options.map((option) => [flagOf(option), optionTexts[option].says] as const)
  const list = usageOf(name).includes('strategy') ? `\nStrategies: ${strategies.join(', ')}\n` : ''
  return `Usage: ${program} ${usageOf(name)} [options]

${says[0]?.toUpperCase()}${says.slice(1)}.
${list}
Options:
${explained(rows)}

Exit codes: ${Object.entries(exitCodes)
    .map(([code, says]) => `${code} ${says.replace(/[;,:].*/, '')}`)
    .join(' · ')}
`
}

function usageOf(name: string): string {
  const { argument, second }: Command = commands[name as CommandName]
  return [name, argument, second].filter((word) => word !== undefined).join(' ')
}

function flagOf(option: OptionName): string {
  const text = optionTexts[option]
  return `--${option}${'value' in text ? ` <${text.value}>` : ''}`
}
