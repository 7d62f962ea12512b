import { type ChildProcessByStdio, type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import type { Readable, Writable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { machine } from '../support/needs.ts'

const quickLoad = new URL('../../local/quick-load.mjs', import.meta.url).href

export type Ended = {
  code: number | null
  stdout: string
  stderr: string
  // biome-ignore lint/suspicious/noExplicitAny: a test says what it expects of it
  json: any
}

/** Runs a script of local/ as npm does, with no service but those of `env`; `json` is all of stdout, parsed. */
export async function runScript(
  name: string,
  args: string[],
  options: Partial<Spawned> = {},
): Promise<Ended> {
  const ended = await endOf(spawnScript(name, args, options))
  return { ...ended, json: args.includes('--json') ? JSON.parse(ended.stdout) : undefined }
}

export type Spawned = { env: Record<string, string>; cwd: string; input: string }

export function spawnScript(
  name: string,
  args: string[],
  { env = {}, cwd = tmpdir(), input }: Partial<Spawned> = {},
): ChildProcessWithoutNullStreams {
  const script = fileURLToPath(new URL(`../../local/${name}.ts`, import.meta.url))
  const child = spawn(process.execPath, ['--import', quickLoad, script, ...args], {
    cwd,
    env: { ...machine, ...env },
    stdio: 'pipe',
  })
  child.stdin.end(input ?? '')
  return child
}

/** The same on a terminal of its own, whose keys are written to stdin: `\\x03` is Ctrl-C. */
export function spawnOnTerminal(
  name: string,
  args: string[],
  { env, cwd }: Omit<Spawned, 'input'>,
): ChildProcessWithoutNullStreams {
  const script = fileURLToPath(new URL(`../../local/${name}.ts`, import.meta.url))
  const command = [process.execPath, '--import', quickLoad, script, ...args]
    .map((word) => `'${word}'`)
    .join(' ')
  return spawn('script', ['--quiet', '--return', '--command', `exec ${command}`, '/dev/null'], {
    cwd,
    env: { PATH: process.env.PATH, TERM: 'dumb', ...env },
    stdio: 'pipe',
  })
}

/** What a script writes until its end. */
export async function endOf(
  child: ChildProcessByStdio<Writable | null, Readable, Readable>,
): Promise<Omit<Ended, 'json'>> {
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ])
  return { code, stdout, stderr }
}
