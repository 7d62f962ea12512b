import { messageOf, ResetError } from '../../lib/errors.ts'
import { operationOf } from '../../lib/operations.ts'
import { toolVersion } from '../../lib/version.ts'
import { visible, visibleName } from '../../lib/visible.ts'
import type { Answer } from './answer.ts'
import { isCommand, noCommand, readArguments, WrongUsage } from './arguments.ts'
import { asFlags } from './as-flags.ts'
import { showCompletion } from './commands/completion.ts'
import { showToken } from './commands/token.ts'
import { codeOfKind, type ExitCode, exitCodeOf } from './exit-code.ts'
import { helpOf } from './help.ts'
import type { perform } from './perform.ts'
import { requestOf } from './request.ts'
import { assertNamed } from './run/confirm.ts'

/** What the process ends with, and what it is still to write. */
export type Ended = { code: ExitCode; stdout: string; stderr: string }

type Terminal = {
  /** Whether a person sits there, who can be asked. */
  isTerminal: boolean
  /** Carries out what is neither wrong nor refused: that is decided before anything is started, or even loaded. */
  perform: typeof perform
}

/** The whole command line, but for what a process has only once. */
export async function main(argv: readonly string[], terminal: Terminal): Promise<Ended> {
  const json = argv.includes('--json')
  try {
    const { document, text, code } = await answer(argv, terminal)
    return { code, stdout: visible(json ? pretty(document) : text), stderr: '' }
  } catch (error) {
    const name = error instanceof Error ? error.name : 'UnexpectedError'
    const message = messageOf(error)
    const help = error instanceof WrongUsage ? `\n${helpOf(error.command)}` : ''
    const stdout = json ? visible(pretty({ error: { name, message } })) : ''
    // Of a run it would be a failure; here it is what was asked for by an id that there is not.
    const code =
      name === 'NotFound' ? 2 : error instanceof ResetError ? codeOfKind[error.kind] : exitCodeOf(name)
    return { code, stdout, stderr: `${name}: ${visibleName(asFlags(message))}\n${help}` }
  }
}

async function answer(argv: readonly string[], { isTerminal, perform }: Terminal): Promise<Answer> {
  const args = readArguments(argv)
  if (args === 'version') {
    return { document: { version: toolVersion }, text: `taskmaster-reset ${toolVersion}\n`, code: 0 }
  }
  if (args === 'help') return helpAnswer(undefined)
  if (args.flags.help) return helpAnswer(args.command)
  if (args.command === 'help') return helpAnswer(args.argument)
  if (args.command === 'token') return showToken(args)
  if (args.command === 'completion') return showCompletion(args)
  const isRun = operationOf(args.command) !== undefined
  const wanted = isRun ? await requestOf(args) : undefined
  if (wanted !== undefined && !isTerminal) assertNamed(wanted.request)
  return perform(args, wanted)
}

/** @throws WrongUsage when there is no such command */
function helpAnswer(command: string | undefined): Answer {
  if (command !== undefined && !isCommand(command)) throw noCommand(command)
  const help = helpOf(command)
  return { document: { help }, text: help, code: 0 }
}

function pretty(document: unknown): string {
  return `${JSON.stringify(document, null, 2)}\n`
}
