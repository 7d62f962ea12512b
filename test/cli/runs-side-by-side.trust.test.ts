import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { StopExecutionCommand } from '@aws-sdk/client-sfn'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { StoreUnavailable } from '../../lib/errors.ts'
import { executionArn, machineArnOf } from '../../lib/executions/executions.ts'
import { open } from '../../local/cli/connect.ts'
import { startRestFront } from '../cache/rest-front.ts'
import { inFullForm, isFull } from '../support/trust.ts'
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

test.runIf(isFull)(
  `two runs at once: the second exits 4 with the id of the first ${inFullForm}`,
  async () => {
    const { open } = close('Seal')
    const first = cli.cli(['backup', '--no-rehearse', '--json'])
    await reached()
    const second = await cli.cli(['reset', 'full', '--confirm', 'local', '--json'])
    const dry = await cli.cli(['reset', 'full', '--dry-run'])
    open()
    const { code, json } = await first
    expect(code).toBe(0)
    expect(second.code).toBe(4)
    expect(second.json).toMatchObject({ status: 'failed', targets: { database: { state: 'untouched' } } })
    expect(second.json.error).toMatchObject({
      name: 'RunActive',
      message: expect.stringContaining(json.runId),
    })
    expect(second.json.error.message).toContain('It has changed nothing yet: wait for it, or cancel it;')
    expect(dry.code).toBe(4)
    expect(dry.stdout).toMatch(
      /^reset full would be refused: RunActive: Run .*\n\nThis dry run \(reset full\) took /,
    )
  },
)

test.runIf(isFull)(
  'the same request with one idempotency key is one run, under way or over (full form)',
  async () => {
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
    const words = await cli.cli(args.slice(0, -1))
    expect(words.stdout).toMatch(
      /^The same request was sent before; this is its run\.\nRun \S+ \(backup cache-only\) succ/,
    )
    expect(other).toMatchObject({ code: 2, json: { error: { name: 'IdempotencyConflict' } } })
  },
)

test.runIf(isFull)(`a key that was used by another trigger leads to its run ${inFullForm}`, async () => {
  const { runId } = await cli.run({ operation: 'backup', strategy: 'cache-only', idempotencyKey: 'shared' })
  const { code, json } = await cli.cli(['backup', 'cache-only', '--idempotency-key', 'shared', '--json'])
  expect(code).toBe(0)
  expect(json.runId).toBe(runId)
})

test.runIf(isFull)(`a step that fails makes the run fail with 1 and its reason ${inFullForm}`, async () => {
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

test.runIf(isFull)(
  'a run that is aborted ends as failed, and the next one may begin (full form)',
  async () => {
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
    const error = { name: 'Stopped', message: expect.stringContaining('by hand') }
    expect(json).toMatchObject({ status: 'failed', error })
    gate?.open()
    gate = undefined
    expect(await cli.run({ operation: 'backup', strategy: 'cache-only' })).toMatchObject({
      status: 'succeeded',
    })
  },
)

/** What a command to paste is given to the CLI as. */
const pasted = (text: string, command: string) =>
  new RegExp(`npm run -s cli -- (${command} \\S+?)(?=[.\\s]|$)`).exec(text)?.[1]?.split(' ') ?? []

test.runIf(isFull)(
  'Ctrl-C where nobody can be asked leaves the run, and names the commands that cancel and show it (full form)',
  async () => {
    close('Seal')
    const child = cli.spawnCli(['backup', 'cache-only', '--json'])
    const ended = endOf(child)
    await reached()
    child.kill('SIGINT')
    const { code, stdout } = await ended
    expect(code).toBe(130)
    const { message } = JSON.parse(stdout).error
    expect(message).toMatch(/^The run \S+ goes on\. To cancel it, as long as it has changed nothing: /)
    const shown = await cli.cli(pasted(message, 'runs'))
    expect(shown.stdout).toMatch(
      /\(backup cache-only\) is in "Export cache"\.\nStarted .* UTC, last sign of life .* UTC\./,
    )
    expect(shown.stdout).toContain('It has changed nothing yet. To cancel it: ')
    const cancelled = await cli.cli(pasted(shown.stdout, 'cancel'))
    expect(cancelled).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('Nothing was wiped, restored or deleted'),
    })
    const shownAgain = (await cli.cli(pasted(message, 'runs'))).stdout
    expect(shownAgain).toMatch(/\(backup cache-only\) cancelled after /)
    expect(shownAgain).not.toMatch(/Backup: |Remove the cause/)
    // A backup that was never sealed is none.
    expect((await cli.cli(['runs'])).stdout.split('\n')[1]).toMatch(/ backup +cache-only +cancelled$/)
  },
)

test.runIf(isFull)(
  'Ctrl-C once the stores are changed says that it is too late to cancel, and names the command that shows the run (full form)',
  async () => {
    const { open } = close('Finish')
    const child = cli.spawnCli(['reset', 'database-only', '--confirm', 'local', '--no-rehearse'])
    const ended = endOf(child)
    await reached()
    child.kill('SIGINT')
    const { code, stdout } = await ended
    expect(code).toBe(130)
    expect(stdout).toMatch(
      /^The run \S+ goes on, in "Wipe database": it is changing the stores and cannot be cancelled any more\./,
    )
    expect(stdout).not.toContain('-- cancel')
    expect((await cli.cli(pasted(stdout, 'runs'))).stdout).toContain('It cannot be cancelled any more.')
    open()
    await vi.waitFor(async () => {
      expect((await cli.cli(pasted(stdout, 'runs'))).stdout).toMatch(/database +wiped/)
    }, 60_000)
    await cli.refill()
  },
)

/** `script` gives a process a terminal of its own; where there is none, nobody can press Ctrl-C either. */
const hasTerminals = spawnSync('script', ['--version']).status === 0

describe.skipIf(!hasTerminals)('Ctrl-C on a terminal (needs the program "script")', () => {
  test('where a name is to be typed starts nothing, and is no wrong name', async () => {
    const child = cli.spawnOnTerminal(['reset', 'cache-only'])
    let shown = ''
    child.stdout.on('data', (data) => {
      shown += data
    })
    await vi.waitFor(() => expect(shown).toContain('Type the'), 60_000)
    child.stdin.write('\x03')
    expect((await once(child, 'close'))[0]).toBe(130)
    expect(shown).toContain('No name was typed. Nothing was started or touched.')
    expect(shown).not.toContain('ConfirmationMismatch')
  })

  const answers = [
    ['c', 130, /The run \S+ is cancelled\. Nothing was wiped, restored or deleted\./, 'cancelled'],
    ['l', 130, /The run \S+ goes on\. To cancel it, /, 'running'],
    ['\x03', 130, /The run \S+ goes on\. To cancel it, /, 'running'],
    ['', 0, /Run \S+ \(backup cache-only\) succeeded after/, 'running'],
  ] as const
  test.each(answers.filter(([answer]) => isFull || answer === 'c'))(
    'asks, and "%s" is understood',
    async (answer, exit, says, status) => {
      const { open } = close('Seal')
      const child = cli.spawnOnTerminal(['backup', 'cache-only'])
      let shown = ''
      child.stdout.on('data', (data) => {
        shown += data
      })
      const ended = once(child, 'close')
      await reached()
      child.stdin.write('\x03')
      await vi.waitFor(() => expect(shown).toContain('go on watching: '), 30_000)
      expect(shown).toContain(
        'has changed nothing yet. c: cancel it, l: leave it running, Enter: go on watching: ',
      )
      child.stdin.write(answer === '\x03' ? answer : `${answer}\n`)
      if (exit === 130) await ended
      const { rows } = await cli.stack.sql.query(
        'SELECT status FROM taskmaster_reset.runs ORDER BY started_at DESC LIMIT 1',
      )
      expect(rows).toEqual([{ status }])
      open()
      expect((await ended)[0]).toBe(exit)
      expect(shown).toMatch(says)
      await vi.waitFor(async () => {
        const active = await cli.stack.sql.query(`SELECT FROM taskmaster_reset.runs WHERE status = 'running'`)
        expect(active.rowCount).toBe(0)
      }, 30_000)
    },
  )
})

describe('Ctrl-C while the run is one of this very process', () => {
  /** What the CLI wrote to stderr so far. */
  function follow(child: ReturnType<typeof cli.spawnWithMachine>) {
    let stderr = ''
    child.stderr.on('data', (data) => {
      stderr += data
    })
    return (text: string) =>
      vi.waitFor(() => expect(stderr).toContain(text), { timeout: 60_000, interval: 20 })
  }

  test.runIf(isFull)(`cancels it, as long as it has changed nothing ${inFullForm}`, async () => {
    const before = await cli.count()
    const { admin } = cli.stack
    await admin.query('BEGIN; LOCK TABLE public.users IN ACCESS EXCLUSIVE MODE') // counting waits for it
    const child = cli.spawnWithMachine(['reset', 'full', '--confirm', 'local', '--json'])
    const ended = endOf(child)
    await follow(child)('Run ')
    child.kill('SIGINT')
    await vi.waitFor(async () => {
      const { rows } = await cli.stack.sql.query(`SELECT FROM taskmaster_reset.runs WHERE status = 'cancelled'
        AND operation = 'reset'`)
      expect(rows).toHaveLength(1)
    }, 30_000)
    await admin.query('COMMIT')
    const { code, stdout } = await ended
    expect(code).toBe(130)
    expect(JSON.parse(stdout).error.message).toMatch(
      /^The run \S+ is cancelled\. Nothing was wiped, restored or deleted\.$/,
    )
    expect(await cli.count()).toEqual(before)
  })

  test.runIf(isFull)(`lets it end, once it changes the stores ${inFullForm}`, async () => {
    const front = await startRestFront(cli.stack.env.UPSTASH_REDIS_REST_URL ?? '')
    const [arrived, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    front.faults = [
      async () => {
        const { rowCount } = await cli.stack.sql.query(
          `SELECT FROM taskmaster_reset.runs WHERE status = 'running' AND wiped IS NOT NULL`,
        )
        if (rowCount === 0) return undefined
        arrived.resolve()
        await released.promise
        return undefined
      },
    ]
    const reset = ['reset', 'full', '--confirm', 'local', '--no-rehearse', '--json']
    const child = cli.spawnWithMachine(reset, { UPSTASH_REDIS_REST_URL: front.url })
    const ended = endOf(child)
    const shows = follow(child)
    await arrived.promise // the database is wiped, and the cache is next
    child.kill('SIGINT')
    await shows(
      'is changing the stores, in this process: it is followed to its end. Ctrl-C once more stops it where it is.',
    )
    released.resolve()
    const { code, stdout } = await ended
    await front.stop()
    expect(code).toBe(0)
    const wiped = { state: 'wiped' }
    expect(JSON.parse(stdout)).toMatchObject({
      status: 'succeeded',
      targets: { database: wiped, files: wiped, cache: wiped },
    })
    await cli.refill()
  })
})
