import { once } from 'node:events'
import { StopExecutionCommand } from '@aws-sdk/client-sfn'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { StoreUnavailable } from '../../lib/errors.ts'
import { executionArn, machineArnOf } from '../../lib/executions.ts'
import { open } from '../../local/cli/connect.ts'
import { useCliStack } from './cli-stack.ts'
import { endOf } from './run-script.ts'

type Gate = { state: string; reached: boolean; open: () => void; opened: Promise<void>; error?: Error }
let gate: Gate | undefined

const cli = useCliStack({
  beforeTask: async (state) => {
    if (state !== gate?.state) return
    gate.reached = true
    if (gate.error) throw gate.error
    await gate.opened
  },
})

/** Lets no run beyond the beginning of a state, until it is opened. */
function close(state: string, error?: Error): Gate {
  const { promise, resolve } = Promise.withResolvers<void>()
  gate = { state, reached: false, open: resolve, opened: promise, ...(error && { error }) }
  return gate
}

const reached = () => vi.waitFor(() => expect(gate?.reached).toBe(true), { timeout: 60_000, interval: 20 })

beforeEach(() => {
  gate = undefined
})
afterEach(() => gate?.open())

test('two runs at once: the second exits 4 with the id of the first', async () => {
  const { open } = close('Seal')
  const first = cli.cli(['backup', '--no-rehearse', '--json'])
  await reached()
  const second = await cli.cli(['reset', 'full', '--confirm', 'local', '--json'])
  open()
  const { code, json } = await first
  expect(code).toBe(0)
  expect(second.code).toBe(4)
  expect(second.json).toMatchObject({ status: 'failed', targets: { database: { state: 'untouched' } } })
  expect(second.json.error).toMatchObject({ name: 'RunActive', message: expect.stringContaining(json.runId) })
})

test('the same request with one idempotency key is one run, under way or over', async () => {
  const { open } = close('Seal')
  const args = ['backup', 'cache-only', '--idempotency-key', 'nightly: 1 #ä', '--json']
  const first = cli.cli(args)
  await reached()
  const second = cli.spawnCli(args)
  const ended = endOf(second)
  await once(second.stderr, 'data') // it says which run it follows
  open()
  const [one, two] = await Promise.all([first, ended])
  expect(one.code).toBe(0)
  expect(two.code).toBe(0)
  expect(JSON.parse(two.stdout)).toEqual(one.json)
  const [three, other] = await Promise.all([
    cli.cli(args),
    cli.cli(['backup', 'files-only', '--idempotency-key', 'nightly: 1 #ä', '--json']),
  ])
  expect(three).toMatchObject({ code: 0, json: one.json })
  expect(other).toMatchObject({ code: 2, json: { error: { name: 'IdempotencyConflict' } } })
})

test('a key that was used by another trigger leads to its run', async () => {
  const { runId } = await cli.run({ operation: 'backup', strategy: 'cache-only', idempotencyKey: 'shared' })
  const { code, json } = await cli.cli(['backup', 'cache-only', '--idempotency-key', 'shared', '--json'])
  expect(code).toBe(0)
  expect(json.runId).toBe(runId)
})

test('a step that fails makes the run fail with 1 and its reason', async () => {
  close('Seal', new StoreUnavailable('S3 is away. Start again when it is back'))
  const before = await cli.count()
  const { code, json, stderr } = await cli.cli(['reset', 'full', '--confirm', 'local', '--json'])
  expect(code).toBe(1)
  expect(json).toMatchObject({
    status: 'failed',
    backupId: null,
    error: { name: 'StoreUnavailable', message: 'S3 is away. Start again when it is back' },
  })
  expect(stderr).toContain('✗ Seal')
  expect(await cli.count()).toEqual(before)
})

test('a run that is aborted ends as failed, and the next one may begin', async () => {
  close('Seal')
  const running = cli.cli(['backup', '--no-rehearse', '--idempotency-key', 'aborted', '--json'])
  await reached()
  const connected = await open(undefined)
  const { rows } = await cli.stack.sql.query(
    `SELECT run_id FROM taskmaster_reset.runs WHERE status = 'running'`,
  )
  const arn = executionArn(machineArnOf(connected.clients.config), rows[0].run_id)
  await connected.clients.sfn.send(
    new StopExecutionCommand({ executionArn: arn, error: 'Stopped', cause: 'by hand' }),
  )
  await connected.stop()
  const { code, json } = await running
  expect(code).toBe(1)
  expect(json).toMatchObject({ status: 'failed', error: { name: 'Stopped', message: 'by hand' } })
  gate?.open()
  gate = undefined
  expect(await cli.run({ operation: 'backup', strategy: 'cache-only' })).toMatchObject({
    status: 'succeeded',
  })
})

test('Ctrl-C leaves a run that goes on elsewhere, and says its id', async () => {
  const { open } = close('Seal')
  const child = cli.spawnCli(['backup', 'cache-only', '--json'])
  const ended = endOf(child)
  await reached()
  child.kill('SIGINT')
  const { code, stdout } = await ended
  open()
  expect(code).toBe(130)
  const { message } = JSON.parse(stdout).error
  const runId = /runs (\S+)$/.exec(message)?.[1] ?? ''
  await vi.waitFor(async () => {
    const { rows } = await cli.stack.sql.query('SELECT status FROM taskmaster_reset.runs WHERE run_id = $1', [
      runId,
    ])
    expect(rows).toEqual([{ status: 'succeeded' }])
  }, 30_000)
})
