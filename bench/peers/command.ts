import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import type { Figure } from '../figures/figure.ts'

const limitMs = 3_600_000

/**
 * Runs a command line of bash, and gives what bash's own `time` says of it: all its processes together.
 * @throws Error with what it wrote, when it fails
 */
export async function timed(command: string, env: Record<string, string>): Promise<Figure> {
  const script = `set -e -o pipefail; TIMEFORMAT='%R %U %S'; { time { ${command}; } 2>&3; } 3>&1 1>&3`
  const child = spawn('bash', ['-c', script], {
    env: { PATH: process.env.PATH, LC_ALL: 'C', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: limitMs,
  })
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve))
  const [said, times, code] = await Promise.all([text(child.stdout), text(child.stderr), exited])
  if (code !== 0) throw new Error(`${command} ended with ${code}: ${said.slice(-2_000)}${times.slice(-500)}`)
  const [real = Number.NaN, user = Number.NaN, system = Number.NaN] = times.trim().split(' ').map(Number)
  return { seconds: real, cpuSeconds: user + system, peakMiB: null }
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
