import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, vi } from 'vitest'
import { claimEnvironment } from '../../local/cli/claim-environment.ts'
import { open } from '../../local/cli/connect.ts'
import { countStores } from '../../local/demo/counts.ts'
import { fillSample } from '../../local/sample.ts'
import type { StackOptions } from '../../local/stack.ts'
import { type FreshStack, freshStack } from '../support/stack.ts'

export const script = (name: string) => fileURLToPath(new URL(`../../local/${name}.ts`, import.meta.url))

const quickLoad = new URL('../../local/quick-load.ts', import.meta.url).href

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
  const child = spawnScript(name, args, options)
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout as NodeJS.ReadableStream),
    text(child.stderr as NodeJS.ReadableStream),
    once(child, 'close'),
  ])
  return { code, stdout, stderr, json: args.includes('--json') ? JSON.parse(stdout) : undefined }
}

export type Spawned = { env: Record<string, string>; cwd: string; input: string }

export function spawnScript(
  name: string,
  args: string[],
  { env = {}, cwd = tmpdir(), input }: Partial<Spawned> = {},
): ChildProcess {
  const child = spawn(process.execPath, ['--import', quickLoad, script(name), ...args], {
    cwd,
    env: { PATH: process.env.PATH, ...env },
    stdio: 'pipe',
  })
  child.stdin.end(input ?? '')
  return child
}

/** A stack with a small sample, claimed unless told otherwise, and the CLI against it. */
export function useCliStack({ claimed = true, ...options }: StackOptions & { claimed?: boolean } = {}) {
  process.env.LOG_LEVEL ??= 'SILENT'
  // Each run of the CLI is a process that loads all of it; beside other test files that takes its time.
  vi.setConfig({ testTimeout: 90_000 })
  let stack: FreshStack
  let folder: string

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'cli-test-')) // here no stack of a developer is found
    stack = await freshStack(options)
    if (claimed) await refill()
  })
  afterAll(async () => {
    await stack?.stop()
    await rm(folder, { recursive: true, force: true })
  })

  /** The sample again, in stores that were emptied by a reset. */
  async function refill(): Promise<void> {
    await stack.sql.query('DROP SCHEMA public CASCADE; CREATE SCHEMA public')
    await fillSample(stack, { scale: 0.1 })
    const connected = await open(undefined)
    await claimEnvironment(connected)
    await connected.stop()
  }

  return {
    get stack() {
      return stack
    },
    refill,
    cli: (args: string[], spawned: Partial<Spawned> = {}) =>
      runScript('cli', args, {
        env: { ...stack.env, ...spawned.env },
        cwd: folder,
        ...(spawned.input === undefined ? {} : { input: spawned.input }),
      }),
    spawnCli: (args: string[]) => spawnScript('cli', args, { env: stack.env, cwd: folder }),
    count: () => countStores(stack, stack.s3),
  }
}
