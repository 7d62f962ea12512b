import { strategies } from '../../lib/run/strategy.ts'
import { type Command, type CommandName, commands, type OptionName, optionTexts } from './commands.ts'
import { exitCodes } from './exit-code.ts'
import { program } from './program.ts'

/** The help of one command, or of all. */
export function helpOf(name?: CommandName): string {
  return name === undefined ? globalHelp() : commandHelp(name, commands[name])
}

function globalHelp(): string {
  const rows = Object.entries(commands).map(([name, { says }]) => `  ${usageOf(name).padEnd(19)}${says}`)
  const codes = Object.entries(exitCodes).map(([code, says]) => `  ${code.padEnd(19)}${says}`)
  return `Usage: ${program} <command> [options]

Resets an application's Postgres, files and cache, after a backup.

Commands:
${rows.join('\n')}

Strategies:
  ${strategies.join(', ')}

Exit codes:
${codes.join('\n')}

It talks to the stack of "npm run dev" when that runs, unless the environment or a file .env in this folder names other
services (DATABASE_URL and the others of .env.example): then to those; else it starts a stack of its own with a sample in it,
which is gone afterwards. "${program} <command> --help" shows the options of a command.
`
}

function commandHelp(name: string, { says, options }: Command): string {
  const rows = options.map((option) => `  ${flagOf(option).padEnd(28)}${optionTexts[option].says}`)
  const list = usageOf(name).includes('strategy') ? `\nStrategies: ${strategies.join(', ')}\n` : ''
  return `Usage: ${program} ${usageOf(name)} [options]

${says[0]?.toUpperCase()}${says.slice(1)}.
${list}
Options:
${rows.join('\n')}

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
