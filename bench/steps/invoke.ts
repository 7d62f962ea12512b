import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** What one call of one function took, in its own process; the times are milliseconds since 1970. */
export type Measured = {
  startedAt: number
  endedAt: number
  /** User and system, from the call to its end. */
  cpuMs: number
  importMs: number
  peakMiB: number
}

type Answer = { result?: unknown; error?: { name: string; message: string }; measured: Measured }

/** No Lambda function runs longer. */
const limitMs = 900_000
const script = fileURLToPath(new URL('./step.mjs', import.meta.url))

/**
 * Calls the `handler` of a module in a new process, as Lambda does after a pause.
 * @throws Error with the name of what the handler threw
 */
export async function invoke(
  file: string,
  env: Record<string, string>,
  event: unknown,
  context: Record<string, unknown> = {},
): Promise<{ result: unknown; measured: Measured }> {
  await using step = startStep(file, env)
  await step.message()
  const answered = step.message()
  step.send({ event, context, deadline: Date.now() + limitMs })
  const { result, error, measured } = (await answered) as Answer
  if (error !== undefined) throw Object.assign(new Error(error.message), { name: error.name })
  return { result, measured }
}

/** How long a new process imports a module, in milliseconds. */
export async function importMsOf(file: string, env: Record<string, string>): Promise<number> {
  await using step = startStep(file, env)
  return ((await step.message()) as { importMs: number }).importMs
}

function startStep(file: string, env: Record<string, string>) {
  const child = fork(script, [file], { env, execArgv: [], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  const signal = AbortSignal.timeout(limitMs)
  const exited = once(child, 'exit').then(([code, by]) => {
    throw new Error(`The process of ${file} ended with ${code ?? by} before it had answered.`)
  })
  exited.catch(() => {}) // it does end, after its answer
  return {
    send: (message: object) => child.send(message),
    async message(): Promise<unknown> {
      const [message] = await Promise.race([once(child, 'message', { signal }), exited])
      return message
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await exited.catch(() => {})
    },
  }
}
