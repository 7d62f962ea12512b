import { createInterface } from 'node:readline/promises'
import { ConfirmationMismatch } from '../../../lib/errors.ts'
import { operations } from '../../../lib/operations.ts'
import { type Request, wantsConfirm } from '../../../lib/run/request.ts'

type Terminal = { input: NodeJS.ReadableStream; output: NodeJS.WritableStream }

/** Whether the environment's name is still missing in the request. */
export function needsName(request: Request): boolean {
  return request.confirm === undefined && wantsConfirm(request)
}

/** For where nobody can be asked. @throws ConfirmationMismatch when the environment's name is still missing */
export function assertNamed(request: Request): void {
  if (!needsName(request)) return
  throw new ConfirmationMismatch(
    `${request.operation} needs the environment's name, and there is no terminal to ask for it. Nothing was touched; say --confirm <name>`,
  )
}

/**
 * Asks for the environment's name on the terminal.
 * @returns `nothing` to who leaves with Ctrl-C or Ctrl-D
 * @throws ConfirmationMismatch when another one is typed
 */
export async function askForName(
  environment: string,
  request: Request,
  { input, output }: Terminal = { input: process.stdin, output: process.stderr },
): Promise<{ name: string } | 'nothing'> {
  const terminal = createInterface({ input, output })
  const what = operations[request.operation].actsOn === 'backup' ? 'the backup' : 'it'
  const question = `Type the environment's name (${environment}) to ${request.operation} ${what}: `
  try {
    // Ctrl-C and Ctrl-D reject.
    const typed = await terminal.question(question).then(
      (line) => line.trim(),
      () => undefined,
    )
    if (typed === undefined) {
      output.write('\n') // what is said next does not stand behind the question
      return 'nothing'
    }
    if (typed === environment) return { name: typed }
    throw new ConfirmationMismatch(
      `"${typed}" is not the environment's name, "${environment}". Nothing was touched`,
    )
  } finally {
    terminal.close()
  }
}
