import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, vi } from 'vitest'
import { startExecution } from '../../lib/executions/executions.ts'
import type { Outcome } from '../../lib/run/outcome.ts'
import { open } from '../../local/cli/connect.ts'
import { claimEnvironment } from '../../local/cli/run/claim-environment.ts'
import { followRun } from '../../local/cli/run/follow.ts'
import { countStores, demonstrationsOfStores } from '../../local/demo/counts.ts'
import { fillSample } from '../../local/sample.ts'
import type { StackOptions } from '../../local/stack.ts'
import { type FreshStack, freshStack } from '../support/stack.ts'
import { isFull } from '../support/trust.ts'
import { runScript, type Spawned, spawnOnTerminal, spawnScript } from './run-script.ts'

/** A stack with a small sample, claimed unless told otherwise, and the CLI against it. */
export function useCliStack({ claimed = true, ...options }: StackOptions & { claimed?: boolean } = {}) {
  // Each run of the CLI is a process that loads all of it; beside other test files that takes its time.
  if (!isFull) vi.setConfig({ testTimeout: 90_000 })
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

  /** Has a request carried out that another trigger than the CLI sends: to the state machine, under a name of its own. */
  async function run(sent: Record<string, unknown>): Promise<Outcome> {
    const { clients, stop } = await open(undefined)
    const runId = randomUUID()
    await startExecution(clients, runId, sent)
    const { outcome } = await followRun(clients, runId, { show() {}, end() {} })
    await stop()
    return outcome
  }

  return {
    get stack() {
      return stack
    },
    refill,
    run,
    cli: (args: string[], spawned: Partial<Spawned> = {}) =>
      runScript('cli', args, {
        env: { ...stack.env, ...spawned.env },
        cwd: folder,
        ...(spawned.input === undefined ? {} : { input: spawned.input }),
      }),
    spawnCli: (args: string[]) => spawnScript('cli', args, { env: stack.env, cwd: folder }),
    /** The CLI with a state machine of its own, on the same stores. */
    spawnWithMachine(args: string[], more: Record<string, string> = {}) {
      const { STATE_MACHINE_ARN: _, AWS_ENDPOINT_URL_SFN: __, ...env } = stack.env
      return spawnScript('cli', args, { env: { ...env, ...more }, cwd: folder })
    },
    spawnOnTerminal: (args: string[]) => spawnOnTerminal('cli', args, { env: stack.env, cwd: folder }),
    /** What the stores hold, asked past the product. */
    async count() {
      const { database, files, cache } = await countStores(await demonstrationsOfStores(), stack)
      return { rows: database.rows, files, keys: cache.keys }
    },
  }
}
