import { type ChildProcess, fork } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import type { Handler } from '../../local/machine/tasks.ts'
import { bundleOf } from './package.ts'

type Answer = { id: number; result?: unknown; error?: { name: string; message: string } }

/** The built functions, each in a Node process of its own with nothing but its own environment. */
export function startBundles(environments: Record<string, Record<string, string>>) {
  const children = new Map<string, Promise<ReturnType<typeof startBundle>>>()
  let log = ''

  async function invoke(name: string, event: unknown): Promise<unknown> {
    const child = children.get(name) ?? Promise.resolve(startBundle(name, environments[name] ?? {}, keep))
    children.set(name, child)
    return (await child).invoke(event)
  }
  function keep(text: string): void {
    log += text
  }
  async function stop(): Promise<void> {
    for (const child of children.values()) (await child).process.kill()
  }
  const handlers = Object.fromEntries(
    Object.keys(environments).map((name): [string, Handler] => [name, (event) => invoke(name, event)]),
  )
  return {
    handlers,
    stop,
    /** What they logged, one JSON document per line. */
    logged: (): Record<string, unknown>[] =>
      log
        .split('\n')
        .filter((line) => line.startsWith('{'))
        .map((line) => JSON.parse(line)),
  }
}

function startBundle(name: string, env: Record<string, string>, keep: (text: string) => void) {
  const child: ChildProcess = fork(new URL('lambda.mjs', import.meta.url), [bundleOf(name)], {
    env,
    execArgv: [],
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  const waiting = new Map<number, PromiseWithResolvers<unknown>>()
  const ready = Promise.withResolvers<unknown>()
  waiting.set(0, ready)
  for (const output of [child.stdout, child.stderr]) output?.setEncoding('utf8').on('data', keep)
  child.on('message', ({ id, result, error }: Answer) => {
    if (error === undefined) waiting.get(id)?.resolve(result)
    else waiting.get(id)?.reject(Object.assign(new Error(error.message), { name: error.name }))
    waiting.delete(id)
  })
  child.on('exit', (code) => {
    for (const { reject } of waiting.values()) reject(new Error(`The bundle ${name} ended with ${code}.`))
  })
  let last = 0
  async function invoke(event: unknown): Promise<unknown> {
    await ready.promise
    const id = ++last
    const answer = Promise.withResolvers<unknown>()
    waiting.set(id, answer)
    const context = { functionName: `taskmaster-reset-local-${name}`, awsRequestId: randomUUID() }
    child.send({ id, event, context })
    return answer.promise
  }
  return { invoke, process: child }
}
