import { createHmac } from 'node:crypto'
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import { setTimeout } from 'node:timers/promises'
import { StopExecutionCommand } from '@aws-sdk/client-sfn'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { handler as hooks } from '../../functions/hooks.ts'
import { handler as notify } from '../../functions/notify.ts'
import { makeClients } from '../../lib/clients.ts'
import { cancelRun } from '../../lib/run/cancel.ts'
import { wouldDoOf } from '../../lib/run/words/would-do.ts'
import { close, LOOPBACK, listen } from '../../local/loopback.ts'
import { MACHINE_ARN } from '../../local/machine/arn.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import { environment, fullReset, useResetStack, withVariables } from './reset-stack.ts'

const secret = 'hunter2'.repeat(6)
type Body = { hook: string; event: string; runId: string; idempotencyKey: string }
type Seen = { headers: IncomingHttpHeaders; body: Body; text: string; path: string | undefined }

/** What an application answers to its hooks, which a test sets, and what it was asked. */
let answer: (seen: Seen, response: ServerResponse) => unknown
let seen: Seen[]
let port: number
const named = () => seen.map(({ body }) => `${body.event} ${body.hook}`)
const ok = (_: unknown, response: ServerResponse) => response.end('{}')
let tellings: Told[] = []
let refuses = (_path: string) => false
const server = createServer(async (request, response) => {
  let text = ''
  for await (const chunk of request) text += chunk
  const path = request.url ?? ''
  if (path.startsWith('/told/')) {
    if (!refuses(path)) tellings.push({ path, text, headers: request.headers })
    response.writeHead(refuses(path) ? 503 : 200).end('hunter2')
    return
  }
  const one = { headers: request.headers, body: JSON.parse(text), text, path: request.url }
  seen.push(one)
  answer(one, response)
})

let beforeTask: ((state: string, input: { runId: string }) => Promise<unknown>) | undefined
const reset = useResetStack({
  beforeTask: async (state, input) => {
    await beforeTask?.(state, input as { runId: string })
  },
})
const quick = { ...fullReset, strategy: 'cache-only', rehearse: false } as const

beforeAll(async () => {
  port = await listen(server)
  await reset.seed({ users: 3, files: 2, keys: 3 })
})
afterAll(() => {
  server.closeAllConnections()
  return close(server)
})

type Changed = { name: string; [field: string]: unknown }
const maintenance: Changed[] = [
  { name: 'on', moment: 'before' },
  { name: 'migrate', moment: 'after' },
  { name: 'off', moment: 'after', when: 'always' },
]

/** Runs something with hooks of the application. */
async function withHooks<Result>(changed: Changed[], use: () => Promise<Result>): Promise<Result> {
  seen = []
  answer = ok
  const HOOKS = JSON.stringify(
    changed.map((one) => ({ url: `http://${LOOPBACK}:${port}/hunter2?hunter2`, secret, tries: 1, ...one })),
  )
  try {
    return await withVariables({ HOOKS, ALLOWED_PRIVATE_HOSTS: `${LOOPBACK}:${port}` }, async () => {
      const result = await use()
      await reset.machine.told()
      return result
    })
  } finally {
    beforeTask = undefined
  }
}

const answersWith =
  (status: number, ...names: string[]) =>
  ({ body }: Seen, response: ServerResponse) =>
    response.writeHead(names.includes(body.hook) ? status : 200).end('hunter2')

async function callsOf(runId: string): Promise<Record<string, string>> {
  const { rows } = await reset.stack.admin.query('SELECT * FROM taskmaster_reset.calls WHERE run_id = $1', [
    runId,
  ])
  return Object.fromEntries(
    rows.map(({ moment, name, state, tries }) => [`${moment} ${name}`, `${state} ${tries}`]),
  )
}

describe('hooks', () => {
  test('that fail before a reset end it with nothing touched, and what must be called after it is called', async () => {
    const before = await reset.fingerprint()
    const sealed = await reset.sealed()
    await withHooks(maintenance, async () => {
      answer = answersWith(500, 'on')
      const { status, error, cause, name } = await reset.run(fullReset)
      expect([status, error]).toEqual(['FAILED', 'HookFailed'])
      expect(cause).toContain(
        `The hook "on" before the reset failed: ${LOOPBACK} answered with status 500, in one try. Nothing`,
      )
      await reset.machine.told()
      expect(named()).toEqual(['before on', 'after off'])
      expect(await callsOf(name)).toEqual({ 'before on': 'failed 1', 'after off': 'done 1' })
      expect((await reset.row(name)).outcome.targets.database.state).toBe('untouched')
    })
    expect(await reset.fingerprint()).toEqual(before)
    expect(await reset.sealed()).toEqual(sealed)
  })

  test('are said by a dry run of what they are called around, and not called', async () => {
    const wouldDo = async (request: object) => {
      const { runId } = await reset.succeed({ ...request, dryRun: true })
      return wouldDoOf((await reset.row(runId)).plan, 'reset', null)
    }
    await withHooks(maintenance, async () => {
      expect(await wouldDo(quick)).toMatchObject({ refusal: null, hooks: true })
      // Count must not know their secrets, and so not what they are called.
      await withVariables({ HOOKS: undefined, HOOKS_ON: 'true' }, async () =>
        expect(await wouldDo(quick)).toMatchObject({ hooks: true }),
      )
      expect(seen).toEqual([])
    })
    await withHooks([{ name: 'seed', moment: 'after', operations: ['restore'] }], async () =>
      expect(await wouldDo(quick)).toMatchObject({ hooks: false }),
    )
    expect(await wouldDo(quick)).toMatchObject({ hooks: false })
  })

  test('are called once each around a reset, signed, and told of the run and of nothing in it', async () => {
    await withHooks(maintenance, async () => {
      const outcome = await reset.succeed(quick)
      expect(outcome.status).toBe('succeeded')
      await reset.machine.told()
      expect(named()).toEqual(['before on', 'after migrate', 'after off'])
      expect(seen[1]?.body).toEqual({
        ...{ event: 'after', hook: 'migrate', runId: outcome.runId, environment },
        ...{
          operation: 'reset',
          strategy: 'cache-only',
          to: null,
          backupId: outcome.backupId,
          status: 'running',
        },
        idempotencyKey: `${outcome.runId}/after/migrate`,
      })
      for (const { headers, text, body, path } of seen) {
        const time = headers['x-taskmaster-time']
        const hmac = createHmac('sha256', secret).update(`${time}.${text}`).digest('hex')
        expect(headers['x-taskmaster-signature']).toBe(`v1=${hmac}`)
        expect(Math.abs(Number(time) - Date.now() / 1000)).toBeLessThan(60)
        expect(headers['idempotency-key']).toBe(body.idempotencyKey)
        expect(path).toBe('/hunter2?hunter2')
      }
      const row = JSON.stringify([await reset.row(outcome.runId), await callsOf(outcome.runId), outcome])
      expect(row).not.toContain('hunter2')
    })
  })

  test.runIf(isFull)(
    `are not called of what changes nothing: a backup, a dry run, a claim ${inFullForm}`,
    async () => {
      await withHooks(maintenance, async () => {
        const { backupId } = await reset.succeed({ operation: 'backup', strategy: 'cache-only' })
        await reset.succeed({ ...fullReset, dryRun: true })
        await reset.succeed({ operation: 'verify', backupId })
        await reset.succeed({ operation: 'claim', confirm: environment })
        expect((await reset.run({ ...fullReset, confirm: 'another' })).error).toBe('ConfirmationMismatch')
      })
      expect(seen).toEqual([])
    },
  )

  test.runIf(isFull)(`are called of the operations that they name ${inFullForm}`, async () => {
    await withHooks([{ name: 'seed', moment: 'after', operations: ['restore'] }], async () => {
      const { backupId } = await reset.succeed(quick)
      expect(seen).toEqual([])
      await reset.succeed({ operation: 'restore', backupId, confirm: environment, rehearse: false })
      expect(named()).toEqual(['after seed'])
      expect(seen[0]?.body).toMatchObject({ operation: 'restore' })
      await reset.succeed({ ...quick, to: backupId })
      expect(named()).toEqual(['after seed'])
      await withHooks(
        [{ name: 'migrate', moment: 'after', onFailure: 'error', operations: ['reset-to'] }],
        async () => {
          await reset.succeed({ ...quick, to: backupId })
          expect(seen[0]?.body).toMatchObject({ operation: 'reset-to', to: backupId })
          answer = answersWith(400, 'migrate')
          const { cause } = await reset.run({ ...quick, to: backupId })
          expect(cause).toContain('The hook "migrate" after the reset failed: ')
        },
      )
    })
  })

  test.runIf(isFull)(
    `are called once when the answer of their step is lost, and the step is repeated ${inFullForm}`,
    async () => {
      await withHooks(maintenance, async () => {
        for (const lost of ['Hooks before', 'Hooks after']) {
          seen = []
          let times = 0
          // An invocation that does all of it, and of which nobody hears.
          beforeTask = async (state, { runId }) => {
            if (state === lost && ++times === 1)
              await repeat(runId, lost === 'Hooks before' ? 'before' : 'after')
          }
          await reset.succeed(quick)
          expect(times).toBe(1)
          expect(named()).toEqual(['before on', 'after migrate', 'after off'])
        }
      })
    },
  )

  test.runIf(isFull)(
    `are called by one invocation at a time: a straggler’s call is waited for, and not made again ${inFullForm}`,
    async () => {
      await withHooks(maintenance, async () => {
        const released = Promise.withResolvers<void>()
        answer = async ({ body }, response) => {
          if (body.hook === 'migrate') await released.promise
          response.end()
        }
        const run = reset.run(quick)
        await vi.waitFor(() => expect(named()).toContain('after migrate'), 60_000)
        const runId = seen[1]?.body.runId ?? ''
        const second = repeat(runId, 'after')
        await setTimeout(1500)
        expect(named()).toEqual(['before on', 'after migrate'])
        released.resolve()
        expect((await run).status).toBe('SUCCEEDED')
        await second.catch(() => {}) // the run may be over when it comes to look
        expect(named()).toEqual(['before on', 'after migrate', 'after off'])
      })
    },
  )

  test.runIf(isFull)(
    `are called again, with the same key, when an invocation ends in the middle of the call and nobody knows what came of it ${inFullForm}`,
    async () => {
      await withHooks([{ name: 'migrate', moment: 'after', tries: 1, timeoutSeconds: 60 }], async () => {
        let cut: unknown
        beforeTask = async (state, { runId }) => {
          if (state !== 'Hooks after') return
          const called = Promise.withResolvers<void>()
          answer = () => called.resolve()
          // Its time is over as soon as it waits for the answer, and not before, however slow this machine is.
          vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
          try {
            const calling = hooks({ runId, attempt: 0, moment: 'after' }, context(60_000)).catch(
              (error: Error) => error.name,
            )
            await called.promise
            vi.advanceTimersByTime(54_000)
            cut = await calling
          } finally {
            vi.useRealTimers()
          }
          expect(await callsOf(runId)).toEqual({ 'after migrate': 'calling 1' })
          answer = ok
        }
        const { runId, status } = await reset.succeed(quick)
        expect([cut, status]).toEqual(['OutOfTime', 'succeeded'])
        expect(await callsOf(runId)).toEqual({ 'after migrate': 'done 2' })
        expect(seen.map(({ headers }) => headers['idempotency-key'])).toEqual(
          Array(2).fill(`${runId}/after/migrate`),
        )
      })
    },
  )

  test.runIf(isFull)(
    `are called by one invocation at a time also when the one that calls loses its connection in the middle ${inFullForm}`,
    async () => {
      await withHooks([maintenance[0] as Changed, { name: 'drain', moment: 'before' }], async () => {
        const released = Promise.withResolvers<void>()
        answer = async (_, response) => {
          if (seen.length === 1) await released.promise
          response.end()
        }
        let second: Promise<unknown> | undefined
        beforeTask = async (state, { runId }) => {
          if (state !== 'Hooks before' || second !== undefined) return
          second = vi
            .waitFor(() => expect(seen).toHaveLength(1), 60_000)
            .then(async () => {
              const { rows } = await reset.stack.admin.query(
                `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE query LIKE '%"calls"%' AND pid <> pg_backend_pid() AND datname = current_database()`,
              )
              expect(rows).toHaveLength(1)
              const other = hooks({ runId, attempt: 0, moment: 'before' }, context())
              await setTimeout(1500)
              expect(seen).toHaveLength(1)
              released.resolve()
              await other.catch(() => {}) // the run may be over when it comes to look
            })
            .finally(released.resolve)
        }
        const { runId } = await reset.succeed(quick)
        await second
        expect(named()).toEqual(['before on', 'before drain'])
        expect(await callsOf(runId)).toEqual({ 'before on': 'done 1', 'before drain': 'done 1' })
      })
    },
  )

  test.runIf(isFull)(
    `of an invocation of which nothing is heard any more are called again when its time for the call is over ${inFullForm}`,
    async () => {
      await withHooks([{ name: 'migrate', moment: 'after' }], async () => {
        beforeTask = async (state, { runId }) => {
          if (state !== 'Hooks after') return
          await reset.stack.admin.query(
            `INSERT INTO taskmaster_reset.calls (run_id, moment, name, state, tries, claim, claimed_until)
             VALUES ($1, 'after', 'migrate', 'calling', 1, 'dead', now() + interval '2 s')`,
            [runId],
          )
        }
        const from = Date.now()
        const { runId } = await reset.succeed(quick)
        expect(Date.now() - from).toBeGreaterThan(2000)
        expect([named(), await callsOf(runId)]).toEqual([['after migrate'], { 'after migrate': 'done 2' }])
      })
    },
  )

  test.runIf(isFull)(
    `are tried again, with the same key, and end when their tries are over ${inFullForm}`,
    async () => {
      await withHooks([{ name: 'on', moment: 'before', tries: 3 }], async () => {
        answer = (_, response) => response.writeHead(seen.length < 3 ? 503 : 200).end()
        const { runId } = await reset.succeed(quick)
        expect(await callsOf(runId)).toEqual({ 'before on': 'done 3' })
        expect(new Set(seen.map(({ headers }) => headers['idempotency-key'])).size).toBe(1)
      })
      await withHooks([{ name: 'on', moment: 'before', tries: 3 }], async () => {
        answer = answersWith(404, 'on')
        const { error, cause } = await reset.run(quick)
        expect([error, seen.length]).toEqual(['HookFailed', 1])
        expect(cause).not.toContain('hunter2')
      })
      await withHooks([{ name: 'on', moment: 'before', tries: 2, timeoutSeconds: 1 }], async () => {
        answer = () => {}
        const { error, cause } = await reset.run(quick)
        expect([error, seen.length]).toEqual(['HookFailed', 2])
        expect(cause).toContain(`${LOOPBACK} did not answer within 1 s, in 2 tries. Nothing was touched.`)
      })
    },
  )

  test.runIf(isFull)(
    `at an address that may not be called end the run before anything is sent, also those after it ${inFullForm}`,
    async () => {
      for (const url of [
        'https://169.254.169.254/hunter2',
        'http://example.com/hunter2',
        'https://127.0.0.1:1/hunter2',
      ]) {
        const before = await reset.fingerprint()
        await withHooks([...maintenance, { name: 'wrong', moment: 'after', url }], async () => {
          const { error, cause, name } = await reset.run(fullReset)
          expect(error).toBe('HookRefused')
          expect(cause).toContain('The hook "wrong" may not be called')
          expect(cause).not.toContain('hunter2')
          expect(JSON.stringify(await reset.row(name))).not.toContain('hunter2')
        })
        expect(seen).toEqual([])
        expect(await reset.fingerprint()).toEqual(before)
      }
    },
  )

  test.runIf(isFull)(
    `that fail after a reset end it as an error where it is said so; what must be called is called all the same ${inFullForm}`,
    async () => {
      const changed = maintenance.map((one) =>
        one.name === 'migrate' ? { ...one, onFailure: 'error' } : one,
      )
      await withHooks(changed, async () => {
        answer = answersWith(500, 'migrate')
        const { error, cause, name } = await reset.run(quick)
        expect(error).toBe('HookFailed')
        expect(cause).toContain('What the run did to the stores is done, and stays.')
        await reset.machine.told()
        expect(named()).toEqual(['before on', 'after migrate', 'after off'])
        expect((await reset.row(name)).outcome.targets.cache.state).toBe('wiped')
      })
    },
  )

  test.runIf(isFull)(
    `that take long can be cancelled before a run, and what must be called is called ${inFullForm}`,
    async () => {
      await withHooks(maintenance, async () => {
        const released = Promise.withResolvers<void>()
        answer = async ({ body }, response) => {
          if (body.hook === 'on') await released.promise
          response.end()
        }
        const run = reset.run(quick)
        await vi.waitFor(() => expect(named()).toContain('before on'), 60_000)
        await cancelRun(await makeClients(), { runId: seen[0]?.body.runId ?? '', by: 'anna' })
        expect((await run).status).toBe('ABORTED')
        // What ends maintenance waits for what begins it, with which the receiver is not done.
        await setTimeout(2000)
        expect(named()).toEqual(['before on'])
        released.resolve()
        await reset.machine.told()
        expect(named()).toEqual(['before on', 'after off'])
      })
    },
  )

  test.runIf(isFull)(
    `are not called any more when their run was cancelled while they waited for their turn ${inFullForm}`,
    async () => {
      await withHooks([...maintenance, { name: 'drain', moment: 'before' }], async () => {
        const inTheWay = new pg.Client({ connectionString: reset.stack.env.DATABASE_URL })
        await inTheWay.connect()
        answer = async ({ body: { hook, runId } }, response) => {
          if (hook === 'on') {
            await inTheWay.query('BEGIN')
            await inTheWay.query(
              `INSERT INTO taskmaster_reset.calls (run_id, moment, name, state, tries) VALUES ($1, 'before', 'drain', 'calling', 0)`,
              [runId],
            )
          }
          response.end()
        }
        try {
          const run = reset.run(quick)
          await vi.waitFor(async () => {
            const { rows } = await reset.stack.admin.query(
              'SELECT FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))',
              [(await inTheWay.query('SELECT pg_backend_pid() AS pid')).rows[0].pid],
            )
            expect(rows).toHaveLength(1)
          }, 60_000)
          await cancelRun(await makeClients(), { runId: seen[0]?.body.runId ?? '', by: 'anna' })
          expect((await run).status).toBe('ABORTED')
          await inTheWay.query('ROLLBACK')
          await reset.machine.told()
          await setTimeout(1000)
          expect(named()).toEqual(['before on', 'after off'])
        } finally {
          await inTheWay.end()
        }
      })
    },
  )

  test.runIf(isFull)(
    `that fail after a reset are a warning of it, with what is left to be done, and those behind them are called ${inFullForm}`,
    async () => {
      await withHooks(maintenance, async () => {
        answer = answersWith(500, 'migrate')
        const { status, warnings } = await reset.succeed(quick)
        expect(status).toBe('succeeded_with_warnings')
        expect(warnings.filter(({ code }) => code === 'HookFailed')).toEqual([
          {
            code: 'HookFailed',
            message: `The hook "migrate" after the run failed: ${LOOPBACK} answered with status 500. The stores are as they should be; what the hook was to do is left to be done`,
          },
        ])
        expect(named()).toEqual(['before on', 'after migrate', 'after off'])
      })
    },
  )

  test.runIf(isFull)(
    `that must be called are called once when an execution was stopped in the middle, however often that is told ${inFullForm}`,
    async () => {
      await withHooks(maintenance, async () => {
        beforeTask = async (state, { runId }) => {
          if (state !== 'Wipe cache') return
          const { sfn, config } = await makeClients()
          const arn = `${config.STATE_MACHINE_ARN?.replace(':stateMachine:', ':execution:')}:${runId}`
          await sfn.send(new StopExecutionCommand({ executionArn: arn }))
          throw new Error('stopped')
        }
        const { status, name } = await reset.run(quick)
        expect(status).toBe('ABORTED')
        await reset.machine.told()
        expect(await reset.row(name)).toMatchObject({
          status: 'failed',
          outcome: { error: { name: 'ExecutionAborted' } },
        })
        expect(named()).toEqual(['before on', 'after off'])
        const detail = { stateMachineArn: MACHINE_ARN, name, status: 'ABORTED' }
        const event = { 'detail-type': 'Step Functions Execution Status Change', detail }
        await Promise.all([notify(event, context()), notify(event, context())])
        expect(named()).toEqual(['before on', 'after off'])
      })
    },
  )
})

type Told = { path: string; text: string; headers: IncomingHttpHeaders }
const told = (path: string) => tellings.filter((one) => one.path === path)

/** Runs something of which the application is told, each kind at a path of its own. */
async function withNotices<Result>(notices: object[], use: () => Promise<Result>): Promise<Result> {
  tellings = []
  refuses = () => false
  const NOTICES = JSON.stringify(
    notices.map((one) => ({
      url: `http://${LOOPBACK}:${port}/told/${(one as { kind: string }).kind}`,
      ...one,
    })),
  )
  const variables = { NOTICES, ALLOWED_PRIVATE_HOSTS: LOOPBACK, PAGE_URL: 'https://ops.example/' }
  try {
    return await withVariables(variables, async () => {
      const result = await use()
      await reset.machine.told()
      return result
    })
  } finally {
    beforeTask = undefined
  }
}

const everybody = [
  { name: 'chat', kind: 'slack', on: ['succeeded', 'failed'] },
  { name: 'bus', kind: 'webhook', secret, on: ['failed', 'recovered'] },
  { name: 'alive', kind: 'ping', url: undefined },
]

const executionEvent = (name: string, status: string, more: object = {}) => ({
  'detail-type': 'Step Functions Execution Status Change',
  detail: { stateMachineArn: MACHINE_ARN, name, status, ...more },
})

async function noticesOf(about: string): Promise<Record<string, string>> {
  const { rows } = await reset.stack.admin.query(
    `SELECT * FROM taskmaster_reset.notices WHERE about = $1 AND event <> 'metrics'`,
    [about],
  )
  expect(JSON.stringify(rows)).not.toContain('hunter2')
  return Object.fromEntries(rows.map((row) => [`${row.event} ${row.name}`, row.error ?? 'sent']))
}

describe('notices', () => {
  const ping = () => ({ ...everybody[2], url: `http://${LOOPBACK}:${port}/told/ping/hunter2?rid=1` })
  const all = () => [everybody[0], everybody[1], ping()] as object[]

  test('tell of the end of a run in plain words with the link to it, each once, whatever comes twice', async () => {
    if (isFull) await reset.succeed(quick) // the one before failed
    await withNotices(all(), async () => {
      const started = () => told('/told/ping/hunter2/start?rid=1')
      beforeTask = async (state) => {
        if (state === 'Seal') await vi.waitFor(() => expect(started()).toHaveLength(1), 50_000)
      }
      const { runId } = await reset.succeed(quick)
      await reset.machine.told()
      await Promise.all([
        notify(executionEvent(runId, 'SUCCEEDED'), context()),
        notify(executionEvent(runId, 'SUCCEEDED'), context()),
      ])
      const [chat, ...more] = told('/told/slack')
      expect(more).toEqual([])
      const { text } = JSON.parse(chat?.text ?? '{}')
      expect(text).toMatch(/^local: reset cache-only succeeded\n/)
      expect(text).toContain(`https://ops.example/#/runs/${runId}`)
      expect(started()).toHaveLength(1)
      expect(told('/told/ping/hunter2?rid=1')).toHaveLength(1)
      expect(told('/told/webhook')).toEqual([]) // nothing had failed before
      expect(await noticesOf(runId)).toEqual({
        'started alive': 'sent',
        'ended chat': 'sent',
        'ended alive': 'sent',
      })
    })
  })

  test.runIf(isFull)(
    `do not wait for the hooks that a run owes, however long these take, nor these for them ${inFullForm}`,
    async () => {
      await withNotices(all(), () =>
        withHooks(maintenance, async () => {
          const told = Promise.withResolvers<void>()
          answer = async ({ body }, response) => {
            if (body.hook === 'off') await told.promise
            response.writeHead(body.hook === 'on' ? 500 : 200).end()
          }
          expect((await reset.run(quick)).error).toBe('HookFailed')
          await vi.waitFor(() => expect(tellings.map(({ path }) => path)).toContain('/told/slack'), 60_000)
          told.resolve()
          await reset.machine.told()
          expect(named()).toEqual(['before on', 'after off'])
        }),
      )
    },
  )

  test.runIf(isFull)(
    `that cannot be delivered fail no run and keep nobody else from being told; they are told when it is tried again ${inFullForm}`,
    async () => {
      await withNotices(all(), async () => {
        refuses = (path) => path.startsWith('/told/slack')
        const { runId, status } = await reset.succeed(quick)
        expect(status).toBe('succeeded')
        await reset.machine.told()
        expect(await noticesOf(runId)).toMatchObject({
          'ended chat': `${LOOPBACK} answered with status 503`,
          'ended alive': 'sent',
        })
        const again = () => notify(executionEvent(runId, 'SUCCEEDED'), context())
        const error = await again().catch((thrown: Error) => thrown)
        expect(error).toMatchObject({ name: 'StoreUnavailable', message: expect.stringContaining('"chat"') })
        expect(`${error}`).not.toContain('hunter2')
        refuses = () => false
        await again()
        expect(told('/told/ping/hunter2?rid=1')).toHaveLength(1)
        expect((await noticesOf(runId))['ended chat']).toBe('sent')
      })
    },
  )

  test.runIf(isFull)(
    `tell of a failure with its error and what is to be done, and of the first success after it ${inFullForm}`,
    async () => {
      await withNotices(all(), async () => {
        await withVariables(
          {
            HOOKS: JSON.stringify([
              {
                name: 'on',
                moment: 'before',
                function: 'arn:aws:lambda:us-east-1:000000000000:function:on',
                tries: 1,
              },
            ]),
            AWS_ENDPOINT_URL_LAMBDA: 'http://127.0.0.1:1',
            AWS_ACCESS_KEY_ID: 'x',
            AWS_SECRET_ACCESS_KEY: 'x',
          },
          async () => {
            expect((await reset.run(quick)).error).toBe('HookFailed')
            await reset.machine.told()
          },
        )
        const failed = JSON.parse(told('/told/webhook')[0]?.text ?? '{}')
        expect(failed).toMatchObject({
          ...{ event: 'failed', environment, operation: 'reset', strategy: 'cache-only', status: 'failed' },
          ...{
            title: 'local: reset cache-only failed',
            text: expect.stringContaining('HookFailed: The hook "on"'),
          },
        })
        expect(failed.text).toContain('Nothing was wiped or replaced.')
        expect(told('/told/ping/hunter2/fail?rid=1')).toHaveLength(1)
        await reset.succeed({ ...quick, dryRun: true }) // which says nothing of the next
        await reset.succeed({ operation: 'backup', strategy: 'cache-only', rehearse: false })
        await reset.machine.told()
        expect(told('/told/webhook')).toHaveLength(1)
        await reset.succeed(quick)
        await reset.machine.told()
        expect(JSON.parse(told('/told/webhook')[1]?.text ?? '{}')).toMatchObject({
          event: 'recovered',
          title: 'local: reset cache-only succeeded, after the last one had failed',
        })
        await reset.succeed(quick)
        await reset.machine.told()
        const [, last, ...more] = told('/told/webhook')
        expect(more).toEqual([])
        const hmac = createHmac('sha256', secret).update(
          `${last?.headers['x-taskmaster-time']}.${last?.text}`,
        )
        expect(last?.headers['x-taskmaster-signature']).toBe(`v1=${hmac.digest('hex')}`)
      })
    },
  )

  test.runIf(isFull)(
    `tell of a run that was refused before it began, and of one that was cancelled; of a dry run they do not ${inFullForm}`,
    async () => {
      await withNotices(all(), async () => {
        await reset.run({ ...quick, confirm: 'another' })
        await reset.run({ ...quick, confirm: 'another', dryRun: true })
        await reset.run({ operation: 'rest' })
        await reset.machine.told()
        expect(told('/told/webhook').map(({ text }) => JSON.parse(text).title)).toEqual([
          'local: reset cache-only could not begin',
        ])
        expect(told('/told/ping/hunter2/start?rid=1')).toEqual([])
        expect(told('/told/ping/hunter2/fail?rid=1')).toHaveLength(1)
        beforeTask = async (state, { runId }) => {
          if (state === 'Seal') await cancelRun(await makeClients(), { runId, by: 'anna' })
        }
        await reset.run(quick)
        beforeTask = undefined
        await reset.machine.told()
        expect(JSON.parse(told('/told/webhook')[1]?.text ?? '{}')).toMatchObject({
          title: 'local: reset cache-only cancelled',
          text: expect.stringContaining('Cancelled by anna'),
        })
      })
    },
  )

  test.runIf(isFull)(
    `tell of a baseline that the schema has outgrown, which only a backup finds ${inFullForm}`,
    async () => {
      const backup = { operation: 'backup', strategy: 'database-only', rehearse: false }
      await withNotices([{ name: 'bus', kind: 'webhook', on: ['baseline-outdated'] }], async () => {
        await reset.succeed({ ...backup, label: 'baseline' })
        await reset.machine.told()
        expect(told('/told/webhook')).toEqual([])
        await reset.stack.sql.query('ALTER TABLE users DROP COLUMN role')
        await reset.succeed(backup)
        await reset.machine.told()
        expect(JSON.parse(told('/told/webhook')[0]?.text ?? '{}')).toMatchObject({
          events: ['baseline-outdated', 'warned', 'succeeded'],
          text: expect.stringContaining('Warning BaselineOutdated: '),
        })
      })
    },
  )

  test.runIf(isFull)(`tell of backups that are missing, as the alarm says ${inFullForm}`, async () => {
    await withNotices([{ name: 'chat', kind: 'slack' }], async () => {
      const alarm = (value: string) => ({
        'detail-type': 'CloudWatch Alarm State Change',
        time: '2026-11-26T03:00:00Z',
        detail: { alarmName: 'taskmaster-reset-local-no-backup', state: { value } },
      })
      await notify(alarm('ALARM'), context())
      await notify(alarm('ALARM'), context())
      await notify(alarm('OK'), context())
      expect(told('/told/slack').map(({ text }) => JSON.parse(text).text.split('\n')[0])).toEqual([
        'local: no backup in time',
      ])
    })
  })

  test.runIf(isFull)(
    `are sent to no address in the network that is not named, and what is named holds no secret of it ${inFullForm}`,
    async () => {
      const notices = [
        'https://169.254.169.254/hunter2',
        'https://10.0.0.1/hunter2',
        'http://example.com/hunter2',
      ]
      await withNotices(
        notices.map((url, index) => ({ name: `n${index}`, kind: 'slack', on: ['succeeded'], url })),
        async () => {
          const { runId } = await reset.succeed(quick)
          await reset.machine.told()
          const found = Object.values(await noticesOf(runId))
          expect(found).toHaveLength(3)
          for (const error of found) expect(error).toContain('its address may not be called')
        },
      )
    },
  )
})

/** Another invocation of the step, as Lambda's retry of one whose answer was lost. */
const repeat = (runId: string, moment: 'before' | 'after') => hooks({ runId, attempt: 0, moment }, context())

function context(milliseconds = 60_000) {
  const deadline = Date.now() + milliseconds
  return { functionName: 'hooks', awsRequestId: 'x', getRemainingTimeInMillis: () => deadline - Date.now() }
}
