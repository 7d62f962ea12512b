import { SFNClient, StopExecutionCommand } from '@aws-sdk/client-sfn'
import { beforeAll, describe, expect, test, vi } from 'vitest'
import { makeClients } from '../../lib/clients.ts'
import { DatabaseBusy, NotFound, RunEnded, StoreUnavailable, TooLateToCancel } from '../../lib/errors.ts'
import { runOfRow } from '../../lib/http/answers/run-of-row.ts'
import { readRun } from '../../lib/ledger/runs.ts'
import { withConnection } from '../../lib/postgres/with-connection.ts'
import { cancelRun } from '../../lib/run/cancel.ts'
import { Outcome } from '../../lib/run/outcome.ts'
import { loadFunctions } from '../../local/functions.ts'
import type { Handler } from '../../local/machine/tasks.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import { useFronts } from './fronts.ts'
import { environment, fullReset, quickReset, useResetStack, withVariables } from './reset-stack.ts'

type Input = Record<string, unknown>

/** Holds the first invocation that fits before it does anything; `work` ends with what the function then did. */
class Hold {
  readonly #reached = Promise.withResolvers<void>()
  readonly #released = Promise.withResolvers<void>()
  readonly #ended = Promise.withResolvers<unknown>()
  readonly reached = this.#reached.promise
  readonly work = this.#ended.promise
  readonly #fits: (name: string, input: Input) => boolean
  #isTaken = false

  constructor(fits: (name: string, input: Input) => boolean) {
    this.#fits = fits
  }

  take(name: string, input: Input): boolean {
    if (this.#isTaken || !this.#fits(name, input)) return false
    this.#isTaken = true
    return true
  }

  async around(run: () => Promise<unknown>): Promise<unknown> {
    this.#reached.resolve()
    await this.#released.promise
    const done = run()
    done.then(
      () => this.#ended.resolve('done'),
      (error: Error) => this.#ended.resolve(error.name),
    )
    return done
  }

  release(): void {
    this.#released.resolve()
  }
}

let hold: Hold | undefined
const reset = useResetStack({
  loadFunctions: async () => {
    // Each test tells by itself how an execution ended.
    const functions = Object.entries(await loadFunctions()).filter(([name]) => name !== 'ended')
    return Object.fromEntries(functions.map(([name, handler]) => [name, held(name, handler)]))
  },
})
const fronts = useFronts(reset)

function held(name: string, handler: Handler): Handler {
  return async (event, context) => {
    const run = async () => handler(event, context)
    return hold?.take(name, event as Input) ? hold.around(run) : run()
  }
}

const by = 'anna'
const cancel = async (runId: string) => cancelRun(await makeClients(), { runId, by })

async function stop(runId: string, reason: { error?: string; cause?: string } = {}): Promise<void> {
  const { sfn, config } = await makeClients()
  const arn = `${config.STATE_MACHINE_ARN?.replace(':stateMachine:', ':execution:')}:${runId}`
  await sfn.send(new StopExecutionCommand({ executionArn: arn, ...reason }))
}

describe('a run that is cancelled', () => {
  beforeAll(() => reset.seed({ users: 5, files: 3, keys: 3 }))

  const forms: [string, string, Input, Input][] = [
    ['Export database', 'export', { target: 'database' }, fullReset],
    ['Copy files', 'copy', {}, fullReset],
    ['Export cache', 'export', { target: 'cache' }, fullReset],
    ['Rehearse', 'load', {}, fullReset],
    ['Compare', 'compare', {}, fullReset],
    ['Seal', 'seal', {}, fullReset],
    ['Wipe database', 'wipe', { target: 'database' }, fullReset],
    ['Wipe files', 'wipe', { target: 'files' }, { ...quickReset, strategy: 'files-only' }],
    ['Wipe cache', 'wipe', { target: 'cache' }, { ...quickReset, strategy: 'cache-only' }],
  ]

  // The short form cancels before what cannot be undone.
  test.each(forms.filter(([state]) => isFull || state === 'Wipe database'))(
    'when %s was called but has not begun wipes nothing, although its function then works on',
    async (state, name, fields, request) => {
      const was = await reset.fingerprint()
      const runId = `cancelled-at-${state.replace(' ', '-')}`
      hold = new Hold(
        (called, input) =>
          called === name &&
          input.runId === runId &&
          Object.entries(fields).every(([key, value]) => input[key] === value),
      )
      const execution = await reset.start(request, runId)
      await hold.reached
      const row = await cancel(runId)
      expect(row).toMatchObject({ status: 'cancelled', outcome: null })
      expect(row.failure).toMatchObject({
        error: 'Cancelled',
        message: expect.stringMatching(/^Cancelled by anna in the step /),
      })
      expect(await reset.end(execution)).toMatchObject({ status: 'ABORTED', error: 'Cancelled' })
      hold.release()
      expect(await hold.work).toBe('RunLost')
      await ended(eventOf(runId, { status: 'ABORTED', error: 'Cancelled' })) // drops what was loaded
      expect(await reset.fingerprint()).toEqual(was)
      expect(await cancel(runId)).toEqual(row) // the lock is free: the next of these takes it
    },
  )

  test.runIf(isFull)(
    `while the seal is being written has a backup, and wipes nothing ${inFullForm}`,
    async () => {
      const was = await reset.fingerprint()
      const { promise: reached, resolve: reach } = Promise.withResolvers<void>()
      const { promise: released, resolve: release } = Promise.withResolvers<void>()
      fronts.s3.faults = [
        async ({ method, key }) => {
          if (method !== 'PUT' || !key.endsWith('/manifest.json')) return undefined
          reach()
          await released
          return undefined
        },
      ]
      await withVariables(fronts.variables, async () => {
        const execution = await reset.start(quickReset, 'sealing')
        await reached
        expect(await cancel('sealing')).toMatchObject({ status: 'cancelled', phase: 'Seal' })
        release()
        expect((await reset.end(execution)).status).toBe('ABORTED')
        const { backupId } = await cancel('sealing')
        await vi.waitFor(async () => expect(await reset.sealed()).toContain(backupId), 60_000)
      })
      expect(await reset.fingerprint()).toEqual(was)
    },
  )

  const atWork: [string, string, string][] = [
    ['Export database', 'export', '/database/'],
    ['Seal', 'seal', '/files.jsonl.zst'],
  ]
  test.each(atWork.filter(([state]) => isFull || state === 'Export database'))(
    'while %s is at work ends there, and no backup comes of it',
    async (state, name, part) => {
      const runId = `cancelled-in-${name}`
      const { promise: reached, resolve: reach } = Promise.withResolvers<void>()
      const { promise: released, resolve: release } = Promise.withResolvers<void>()
      fronts.s3.faults = [
        async ({ method, key }) => {
          if (method !== 'PUT' || !(key.includes('/backups/') && key.includes(part))) return undefined
          reach()
          await released
          return undefined
        },
      ]
      hold = new Hold((called, input) => called === name && input.runId === runId && input.target !== 'cache')
      hold.release() // only its end is looked at
      await withVariables(fronts.variables, async () => {
        const execution = await reset.start({ operation: 'backup', rehearse: false }, runId)
        await reached
        const { backupId } = await cancel(runId)
        release()
        expect(await hold?.work, state).toBe('RunLost')
        expect((await reset.end(execution)).status).toBe('ABORTED')
        expect(await reset.sealed()).not.toContain(backupId)
      })
    },
  )

  test.runIf(isFull)(
    `wipes nothing when its execution cannot be stopped, which is told ${inFullForm}`,
    async () => {
      const was = await reset.fingerprint()
      hold = new Hold((name) => name === 'seal')
      const execution = await reset.start(quickReset, 'unstoppable')
      await hold.reached
      const clients = await makeClients()
      const credentials = { accessKeyId: 'test', secretAccessKey: 'test' }
      const nobody = { endpoint: 'http://127.0.0.1:1', region: 'us-east-1', credentials, maxAttempts: 1 }
      const cancelled = cancelRun({ ...clients, sfn: new SFNClient(nobody) }, { runId: 'unstoppable', by })
      await expect(cancelled).rejects.toThrow(StoreUnavailable)
      await expect(cancelled).rejects.toThrow(/is cancelled and changes nothing any more/)
      hold.release()
      expect(await reset.end(execution)).toMatchObject({ status: 'FAILED', error: 'RunLost' })
      expect(await reset.row('unstoppable')).toMatchObject({ status: 'cancelled', outcome: null })
      expect(await reset.fingerprint()).toEqual(was)
    },
  )

  test.runIf(isFull)(
    `changes nothing when its row is held for LOCK_TIMEOUT_MS: who cancels is not kept waiting ${inFullForm}`,
    async () => {
      const atSeal = new Hold((name) => name === 'seal')
      hold = atSeal
      const execution = await reset.start({ operation: 'backup', strategy: 'cache-only' }, 'held')
      await atSeal.reached
      await reset.stack.admin.query('BEGIN')
      await reset.stack.admin.query(`SELECT FROM taskmaster_reset.runs WHERE run_id = 'held' FOR UPDATE`)
      const { config, ...clients } = await makeClients()
      const patience: unknown[] = []
      const connect = async () => {
        const connection = await clients.connect()
        const query = connection.query.bind(connection)
        const asking = async (text: string, values?: unknown[]) => {
          if (text.includes('FOR UPDATE')) patience.push((await query('SHOW lock_timeout')).rows[0])
          return query(text, values)
        }
        return Object.assign(connection, { query: asking })
      }
      const impatient = { ...clients, connect, config: { ...config, LOCK_TIMEOUT_MS: 100 } }
      await expect(cancelRun(impatient, { runId: 'held', by })).rejects.toThrow(DatabaseBusy)
      expect(patience).toEqual([{ lock_timeout: '100ms' }])
      await reset.stack.admin.query('ROLLBACK')
      atSeal.release()
      expect(await reset.end(execution)).toMatchObject({ status: 'SUCCEEDED' })
    },
  )
})

describe('a run that waits for its locks', () => {
  test('says who is in the way, and can be cancelled until it has them', async () => {
    const was = await waitingAt('waiting', async () => {
      const row = await withConnection(await makeClients(), (connection) => readRun(connection, 'waiting'))
      expect(runOfRow(row)).toMatchObject({ phase: 'Wipe database', cancellable: true, waiting: row.waiting })
      expect(row.waiting).toMatch(/try \d+ of \d+; in the way: process \d+ .* holds users$/)
      const open = { operation: 'backup', strategy: 'cache-only' }
      const second = await reset.run(open)
      expect(second).toMatchObject({ status: 'FAILED', error: 'RunActive' })
      expect(second.cause).toMatch(
        /in Wipe database: waiting for locks, .*\. It has changed nothing yet: wait for it, or cancel it;/,
      )
      await cancel('waiting')
    })
    expect(await hold?.work).toBe('RunLost')
    expect(await reset.row('waiting')).toMatchObject({ status: 'cancelled', phase: 'Wipe database' })
    expect(await reset.fingerprint()).toEqual(was)
  })

  test.runIf(isFull)(`is too late to cancel once it has wiped ${inFullForm}`, async () => {
    await waitingAt('granted', async () => {})
    expect(await hold?.work).toBe('done')
    const row = await reset.row('granted')
    expect(row.outcome.targets.database.state).toBe('wiped')
    await expect(cancel('granted')).rejects.toThrow(RunEnded)
  })

  /** A reset that waits in its wipe's transaction for a session that reads, which ends when `use` did. */
  async function waitingAt(runId: string, use: () => Promise<void>) {
    await reset.seed({ users: 5, files: 3, keys: 3 })
    const was = await reset.fingerprint()
    const { admin } = reset.stack
    hold = new Hold((name, input) => name === 'wipe' && input.target === 'database')
    const execution = await reset.start(quickReset, runId)
    await hold.reached
    await admin.query('BEGIN; LOCK TABLE public.users IN ACCESS SHARE MODE')
    hold.release()
    try {
      await vi.waitFor(async () => expect((await reset.row(runId)).waiting).toMatch(/in the way: /), 30_000)
      await use()
    } finally {
      await admin.query('COMMIT')
    }
    await reset.end(execution)
    return was
  }
})

describe('cancelling is refused', () => {
  test('after a wipe, also when a straggler of an earlier step gives a sign of life', async () => {
    await reset.seed({ users: 5, files: 3, keys: 3 })
    hold = new Hold((name) => name === 'finish')
    const execution = await reset.start({ ...quickReset, strategy: 'files-only' }, 'late')
    await hold.reached
    const { copy } = await loadFunctions()
    const context = { functionName: '', awsRequestId: '', getRemainingTimeInMillis: () => 60_000 }
    await copy?.({ runId: 'late', attempt: 0, batch: 0 }, context)
    expect((await reset.row('late')).phase).toBe('Wipe files')
    await expect(cancel('late')).rejects.toThrow(TooLateToCancel)
    hold.release()
    expect((await reset.end(execution)).status).toBe('SUCCEEDED')
  })

  test('of a claim, of a run that is not there, and of one that failed', async () => {
    hold = new Hold((name) => name === 'finish')
    const execution = await reset.start({ operation: 'claim', confirm: environment }, 'claiming')
    await hold.reached
    await expect(cancel('claiming')).rejects.toThrow(TooLateToCancel)
    hold.release()
    await reset.end(execution)
    await expect(cancel('nobody-knows-it')).rejects.toThrow(NotFound)
    hold = new Hold((name) => name === 'seal')
    const failing = await reset.start({ operation: 'backup', strategy: 'cache-only' }, 'stopped')
    await hold.reached
    await stop('stopped')
    await reset.end(failing)
    await ended(eventOf('stopped', { status: 'ABORTED' }))
    hold.release()
    expect(await hold.work).toBe('RunLost')
    await expect(cancel('stopped')).rejects.toThrow(RunEnded)
  })
})

/** As EventBridge delivers it, with everything that it holds besides. */
function eventOf(name: string, detail: { status: string; error?: string | null; cause?: string | null }) {
  const machine = 'arn:aws:states:us-east-1:123456789012:stateMachine:taskmaster-reset'
  const executionArn = `${machine.replace('stateMachine', 'execution')}:${name}`
  return JSON.parse(`{
    "version": "0",
    "id": "315c1398-40ff-a850-213b-158f73e60175",
    "detail-type": "Step Functions Execution Status Change",
    "source": "aws.states",
    "account": "123456789012",
    "time": "2026-11-22T19:42:21Z",
    "region": "us-east-1",
    "resources": ["${executionArn}"],
    "detail": ${JSON.stringify({
      executionArn,
      stateMachineArn: machine,
      name,
      startDate: 1_795_376_000_000,
      stopDate: 1_795_376_100_000,
      input: '{"operation":"reset"}',
      output: null,
      inputDetails: { included: true },
      outputDetails: null,
      error: null,
      cause: null,
      stateMachineVersionArn: null,
      stateMachineAliasArn: null,
      redriveCount: 0,
      redriveDate: null,
      redriveStatus: 'REDRIVABLE',
      redriveStatusReason: null,
      ...detail,
    })}
  }`)
}

async function ended(event: unknown): Promise<void> {
  const { ended: handler } = await loadFunctions()
  await handler?.(event, { functionName: 'ended', awsRequestId: '', getRemainingTimeInMillis: () => 60_000 })
}

/** A reset that was stopped at a step from outside, so that none of its own states could close its row. */
async function stoppedAt(runId: string, fits: (name: string, input: Input) => boolean) {
  await reset.seed({ users: 5, files: 3, keys: 3 })
  const was = await reset.fingerprint()
  hold = new Hold((name, input) => input.runId === runId && fits(name, input))
  const execution = await reset.start(fullReset, runId)
  await hold.reached
  await stop(runId)
  expect((await reset.end(execution)).status).toBe('ABORTED')
  expect((await reset.row(runId)).status).toBe('running')
  return was
}

describe('an execution that ends without finishing its run', () => {
  const closings: [string, object, string, RegExp][] = [
    ['ABORTED', { error: null, cause: null }, 'ExecutionAborted', /was stopped .* nobody gave a reason/],
    ['ABORTED', { error: 'Operator', cause: 'by mistake' }, 'Operator', /was stopped .*: by mistake\./],
    ['TIMED_OUT', {}, 'ExecutionTimedOut', /took too long/],
    ['FAILED', { error: 'States.Runtime', cause: 'no path $.x' }, 'States.Runtime', /failed .*no path \$\.x/],
  ]
  test.each(closings.filter(([status]) => isFull || status === 'FAILED'))(
    '%s closes it honestly, %j, also when the event comes twice',
    async (status, reason, name, message) => {
      const runId = `ended-${status}-${name}`
      const was = await stoppedAt(runId, (called) => called === 'compare')
      await ended(eventOf(runId, { status, ...reason }))
      const row = await reset.row(runId)
      expect(row).toMatchObject({ status: 'failed' })
      const outcome = Outcome.parse(row.outcome)
      expect(outcome.error).toEqual({ name, message: expect.stringMatching(message) })
      expect(Object.values(outcome.targets).map(({ state }) => state)).toEqual(Array(3).fill('untouched'))
      await ended(eventOf(runId, { status: 'FAILED', error: 'Again' }))
      expect(await reset.row(runId)).toEqual(row)
      hold?.release()
      expect(await hold?.work).toBe('RunLost')
      expect(await reset.fingerprint()).toEqual(was)
    },
  )

  test.runIf(isFull)(
    `in the middle of the wipes says of each target what was done to it ${inFullForm}`,
    async () => {
      await stoppedAt('ended-half-way', (name, input) => name === 'wipe' && input.target === 'files')
      await ended(eventOf('ended-half-way', { status: 'TIMED_OUT' }))
      const { targets, backupId } = Outcome.parse((await reset.row('ended-half-way')).outcome)
      expect(backupId).not.toBeNull()
      expect([targets.database.state, targets.files.state, targets.cache.state]).toEqual([
        'wiped',
        'backed_up',
        'backed_up',
      ])
      hold?.release()
      expect(await hold?.work).toBe('RunLost')
    },
  )

  test.runIf(isFull)(
    `does not bring its run back when it is redriven: each step says to start a new run, and changes nothing ${inFullForm}`,
    async () => {
      const runId = 'redriven'
      const was = await stoppedAt(runId, (name) => name === 'compare')
      await ended(eventOf(runId, { status: 'FAILED', error: 'States.Runtime' }))
      hold?.release()
      expect(await hold?.work).toBe('RunLost')
      const row = await reset.row(runId)
      const ref = { runId, attempt: 0 }
      const startedAt = '2026-11-22T19:42:21Z'
      // What Step Functions schedules again is the step that failed: any of them may be.
      const steps: [string, Input][] = [
        ['count', { ...ref, request: fullReset, startedAt }],
        ['export', { ...ref, target: 'database', batch: 0 }],
        ['compare', { ...ref, purpose: 'rehearse' }],
        ['seal', ref],
        ...(['database', 'files', 'cache'] as const).map((target): [string, Input] => [
          'wipe',
          { ...ref, target },
        ]),
        ['finish', { runId }],
      ]
      const functions = await loadFunctions()
      for (const [name, input] of steps) {
        const context = { functionName: name, awsRequestId: name, getRemainingTimeInMillis: () => 60_000 }
        const refused = functions[name]?.(input, context)
        await expect(refused, name).rejects.toMatchObject({
          name: 'RunLost',
          message: expect.stringMatching(/redriven .*start a new run/i),
        })
      }
      expect(await reset.row(runId)).toEqual(row)
      expect(await reset.fingerprint()).toEqual(was)
      // And that is what works.
      await reset.succeed(fullReset)
    },
  )

  test.runIf(isFull)(
    `changes nothing of a run that has an end, or that nobody knows ${inFullForm}`,
    async () => {
      await reset.seed({ users: 3, files: 1, keys: 1 })
      const { runId } = await reset.succeed({ operation: 'backup', strategy: 'cache-only' })
      const row = await reset.row(runId)
      await ended(eventOf(runId, { status: 'FAILED', error: 'Late' }))
      expect(await reset.row(runId)).toEqual(row)
      await ended(eventOf('a-child-of-a-map', { status: 'FAILED' }))
      expect(await reset.row('a-child-of-a-map')).toBeUndefined()
    },
  )

  test('is told by an event of that kind, and nothing else', async () => {
    await expect(ended(eventOf('x', { status: 'SUCCEEDED' }))).rejects.toThrow('detail.status')
    await expect(ended({ operation: 'reset' })).rejects.toThrow('detail-type')
  })
})
