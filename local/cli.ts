import { messageOf } from '../lib/errors.ts'
import type { Answer } from './cli/answer.ts'
import { readArguments, WrongUsage } from './cli/arguments.ts'
import { assertSomebodyToAsk } from './cli/confirm.ts'
import { type ExitCode, exitCodeOf } from './cli/exit-code.ts'
import { helpOf } from './cli/help.ts'
import { logToStderr } from './cli/logs.ts'
import { requestOf } from './cli/request.ts'
import { showToken } from './cli/token.ts'

const json = process.argv.includes('--json')

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error // whoever read it, like head, has read enough
})
process.exitCode = await main(process.argv.slice(2)).then(tell, tellError)

async function main(argv: string[]): Promise<Answer> {
  const args = readArguments(argv)
  if (args === undefined || args.flags.help) {
    const help = helpOf(args?.command)
    return { document: { help }, text: help, code: 0 }
  }
  if (args.command === 'token') return showToken(args)
  // What can be refused is refused before anything is started, or even loaded.
  const isRun = ['backup', 'reset', 'restore', 'delete', 'claim'].includes(args.command)
  const wanted = isRun ? await requestOf(args) : undefined
  if (wanted !== undefined) assertSomebodyToAsk(wanted.request)
  logToStderr('SILENT')
  const { perform } = await import('./cli/perform.ts')
  return perform(args, wanted)
}

function tell({ document, text, code }: Answer): ExitCode {
  process.stdout.write(json ? `${JSON.stringify(document, null, 2)}\n` : text)
  return code
}

function tellError(error: unknown): ExitCode {
  const name = error instanceof Error ? error.name : 'UnexpectedError'
  const message = messageOf(error)
  process.stderr.write(`${name}: ${message}\n`)
  if (error instanceof WrongUsage) process.stderr.write(`\n${helpOf(error.command)}`)
  if (json) process.stdout.write(`${JSON.stringify({ error: { name, message } }, null, 2)}\n`)
  return exitCodeOf(name)
}
