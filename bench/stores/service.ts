import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** A service in a process of its own, so that what it takes is not counted as ours. It ends with this process. */
export type Service<Started> = {
  started: Started
  /** Has the process do something, and waits until it is done. */
  tell(message: unknown): Promise<void>
  stop(): Promise<void>
}

/** What is sent from there to here: first how it was started, then an answer to each message. */
export type Sent = { started: unknown } | { done: true } | { failed: string }

const patienceMs = 300_000

/** @param name of a file beside this one */
export async function startService<Started>(name: string, settings: unknown): Promise<Service<Started>> {
  const file = fileURLToPath(new URL(`./${name}.ts`, import.meta.url))
  const quickLoad = new URL('../../local/quick-load.mjs', import.meta.url).href
  const child = fork(file, [], {
    execArgv: ['--import', quickLoad],
    env: { PATH: process.env.PATH },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const exited = once(child, 'exit')

  async function answer(): Promise<Sent> {
    const [sent] = await Promise.race([
      once(child, 'message', { signal: AbortSignal.timeout(patienceMs) }),
      exited.then(([code]) => Promise.reject(new Error(`The service ${name} ended with ${code}.`))),
    ])
    if (typeof sent === 'object' && sent !== null && 'failed' in sent)
      throw new Error(`${name}: ${sent.failed}`)
    return sent as Sent
  }
  async function tell(message: unknown): Promise<void> {
    const answered = answer()
    child.send(message as object)
    await answered
  }
  async function stop(): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return
    if (child.connected) child.disconnect()
    await exited
  }
  try {
    const ready = answer()
    child.send(settings as object)
    const sent = await ready
    return { started: ('started' in sent ? sent.started : undefined) as Started, tell, stop }
  } catch (error) {
    child.kill('SIGKILL')
    throw error
  }
}
