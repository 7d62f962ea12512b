import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { sweep } from './sweep.ts'

/** Child processes and a temporary folder that are gone when we are gone, even after SIGKILL. */
export type Guarded = {
  folder: string
  pids: ReadonlySet<number>
  /** Runs a program to its end. Rejects, with its last lines, when it fails. */
  run(command: Command): Promise<void>
  /** Starts a server and waits until a line of its output matches. Its later end is a crash. */
  start(command: Command, ready: RegExp): Promise<void>
  stop(): Promise<void>
}

type Command = {
  service: string
  file: string
  args: string[]
  cwd?: string
  input?: string
  user?: { uid: number; gid: number } | undefined
}

const LINES_KEPT = 20

/** `onCrash` is called once for each server that ends although nobody stopped it. */
export async function guardProcesses(onCrash: (error: Error) => void = () => {}): Promise<Guarded> {
  const pids = new Set<number>()
  const guardian = startGuardian()
  let stopping: Promise<void> | undefined
  // In one go: a signal that is handled while a promise of the folder is waited for would end us with nobody knowing of it.
  const folder = mkdtempSync(join(tmpdir(), 'taskmaster-'))
  tell('folder', folder)
  chmodSync(folder, 0o711) // PostgreSQL runs as another user when we are root, and must get through to its data.

  function tell(word: 'folder' | 'started' | 'ended', value: string | number): void {
    guardian.stdin?.write(`${JSON.stringify([word, String(value)])}\n`)
  }

  function launch(command: Command): {
    child: ChildProcess
    lines: string[]
    onLine: Set<(line: string) => void>
  } {
    if (stopping) throw new Error(`${command.service} was not started: the stack is being stopped.`)
    const { file, args, cwd = folder, user } = command
    // detached: Ctrl-C in a terminal goes to the whole process group, and would end the database under our feet.
    const child = spawn(file, args, { cwd, ...user, detached: true, stdio: 'pipe', env: childEnvironment() })
    const lines: string[] = []
    const onLine = new Set<(line: string) => void>()
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        for (const line of text.split('\n')) {
          if (line.trim() === '') continue
          if (lines.push(line) > LINES_KEPT) lines.shift()
          for (const listener of onLine) listener(line)
        }
      })
    }
    child.stdin.on('error', () => {}) // It ended before it had read its input; its exit code tells the rest.
    child.stdin.end(command.input ?? '')
    if (child.pid !== undefined) {
      const pid = child.pid
      pids.add(pid)
      tell('started', pid)
      child.once('exit', () => {
        pids.delete(pid)
        tell('ended', pid)
      })
    }
    return { child, lines, onLine }
  }

  async function run(command: Command): Promise<void> {
    const { child, lines } = launch(command)
    const [code, signal] = await once(child, 'close')
    if (code !== 0) throw new ServiceFailed(command.service, 'did not run', code ?? signal, lines)
  }

  async function start(command: Command, ready: RegExp): Promise<void> {
    const { child, lines, onLine } = launch(command)
    await new Promise<void>((resolve, reject) => {
      onLine.add((line) => ready.test(line) && resolve())
      child.once('error', reject)
      child.once('close', (code, signal) => {
        reject(new ServiceFailed(command.service, 'did not start', code ?? signal, lines))
      })
    })
    onLine.clear()
    child.once('close', (code, signal) => {
      if (!stopping) onCrash(new ServiceFailed(command.service, 'has died', code ?? signal, lines))
    })
  }

  function stop(): Promise<void> {
    stopping ??= (async () => {
      await sweep(pids, folder)
      guardian.ref()
      guardian.stdin?.end()
      if (guardian.exitCode === null && guardian.signalCode === null) await once(guardian, 'exit')
    })()
    return stopping
  }

  return { folder, pids, run, start, stop }
}

/** A program of the embedded stack failed. The message ends with the last lines it wrote. */
class ServiceFailed extends Error {
  override readonly name = 'ServiceFailed'
  constructor(service: string, what: string, end: number | string | null, lines: string[]) {
    const said =
      lines.length > 0
        ? `Its last lines:\n${lines.map((line) => `  ${line}`).join('\n')}`
        : 'It wrote nothing.'
    super(
      `${service} ${what} (${typeof end === 'number' ? `exit code ${end}` : end}). ${said}\n` +
        'Start the stack again; when this comes back, look for a lack of memory or disk space on this machine.',
    )
  }
}

function startGuardian(): ChildProcess {
  const script = fileURLToPath(new URL('./guardian.ts', import.meta.url))
  const quickLoad = new URL('../quick-load.mjs', import.meta.url).href
  // In its own session and folder: it survives the end of a terminal and keeps no folder busy.
  const guardian = spawn(process.execPath, ['--import', quickLoad, script], {
    cwd: tmpdir(),
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
    env: {},
  })
  guardian.stdin.on('error', () => {})
  guardian.on('error', () => {})
  guardian.unref()
  return guardian
}

/** Not our whole environment: it holds credentials, and PG… variables would change what PostgreSQL does. */
function childEnvironment(): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH, TMPDIR: tmpdir(), LC_ALL: 'C', TZ: 'UTC' }
}
