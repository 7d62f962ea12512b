import { type ChildProcess, spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import type { Figure } from '../figures/figure.ts'

const limitMs = 3_600_000
/** What ends in order takes this long at most. */
const graceMs = 10_000

/** What is at work now. One command is several processes, so each is a group, which is ended as a whole. */
const running = new Map<ChildProcess, Promise<unknown>>()

/**
 * Runs a command line of bash, and gives what bash's own `time` says of it: all its processes together.
 * @throws Error with what it wrote, when it fails
 */
export async function timed(command: string, env: Record<string, string>): Promise<Figure> {
  const script = `set -e -o pipefail; TIMEFORMAT='%R %U %S'; { time { ${command}; } 2>&3; } 3>&1 1>&3`
  const { PATH, TMPDIR } = process.env
  const child = spawn('bash', ['-c', script], {
    env: { PATH, ...(TMPDIR && { TMPDIR }), LC_ALL: 'C', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  const closed = new Promise<number | null>((resolve) => child.once('close', resolve))
  running.set(child, closed)
  const limit = setTimeout(() => signalGroup(child, 'SIGKILL'), limitMs)
  const [said, times, code] = await Promise.all([text(child.stdout), text(child.stderr), closed])
  clearTimeout(limit)
  running.delete(child)
  if (code !== 0) throw new Error(`${command} ended with ${code}: ${said.slice(-2_000)}${times.slice(-500)}`)
  const [real = Number.NaN, user = Number.NaN, system = Number.NaN] = times.trim().split(' ').map(Number)
  return { seconds: real, cpuSeconds: user + system, peakMiB: null }
}

/** Ends whatever is at work, also what would go on by itself, as `rclone` that tries again. */
export async function endCommands(): Promise<void> {
  await Promise.all(
    [...running].map(async ([child, closed]) => {
      signalGroup(child, 'SIGTERM')
      const limit = setTimeout(() => signalGroup(child, 'SIGKILL'), graceMs)
      await closed
      clearTimeout(limit)
    }),
  )
}

function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  try {
    if (pid !== undefined) process.kill(-pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error // it has ended meanwhile
  }
}

/** The variables by which the programs of Postgres find a database, so that no password stands in the list of processes. */
export function postgresVariables(url: string): Record<string, string> {
  const { hostname, port, username, password, pathname } = new URL(url)
  return {
    PGHOST: hostname,
    PGPORT: port,
    PGUSER: username,
    PGPASSWORD: password,
    PGDATABASE: decodeURIComponent(pathname.slice(1)),
  }
}
