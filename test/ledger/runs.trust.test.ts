import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import * as z from 'zod'
import { fenceKey } from '../../lib/cache/keys.ts'
import { makeClients } from '../../lib/clients.ts'
import { noteLate, readLateNoted, readNoted, replaceLate } from '../../lib/ledger/documents.ts'
import { readEnvironment, writeEnvironment } from '../../lib/ledger/environment.ts'
import type { Fence } from '../../lib/ledger/fence.ts'
import { forgetInvocation, registerAfterEnd, registerInvocation } from '../../lib/ledger/invocations.ts'
import {
  checkIdle,
  type NewRun,
  openRun as openCounted,
  recordPlan as recordCounted,
} from '../../lib/ledger/open.ts'
import {
  abandonDeadRun,
  closeRun,
  recordRestored,
  recordViews,
  recordWiped,
} from '../../lib/ledger/records.ts'
import { findRun, isCancellable, listRuns, type RunRow, readRun } from '../../lib/ledger/runs.ts'
import {
  checkRunning,
  fenceRun,
  noteGranted,
  noteWaiting,
  recordFailure,
  touchRun,
} from '../../lib/ledger/step.ts'
import { ensureLedger } from '../../lib/ledger/tables.ts'
import { noteTokenUse, readTokenUses } from '../../lib/ledger/token-uses.ts'
import { databaseClock } from '../../lib/postgres/clock.ts'
import type { Connection } from '../../lib/postgres/connection.ts'
import { storable } from '../../lib/postgres/storable.ts'
import { finish } from '../../lib/run/finish/finish.ts'
import { tidyUp } from '../../lib/run/finish/tidy-up.ts'
import { hasBegun } from '../../lib/store.ts'
import { task } from '../../lib/task.ts'
import { type FreshStack, freshStack } from '../support/stack.ts'
import { inFullForm, isFull, rounds } from '../support/trust.ts'

let stack: FreshStack
let connection: Connection

beforeAll(async () => {
  stack = await freshStack()
  connection = await (await makeClients()).connect()
})
afterAll(async () => {
  await connection?.end()
  await stack?.stop()
})
beforeEach(async () => {
  await stack.sql.query('DROP SCHEMA IF EXISTS taskmaster_reset CASCADE')
  await ensureLedger(connection)
})

const newRun = (runId: string, more: Partial<NewRun> = {}): NewRun => ({
  runId,
  operation: 'reset',
  strategy: 'full',
  requestedBy: null,
  idempotencyKey: null,
  requestDigest: 'digest',
  startedAt: new Date('2026-11-22T19:05:33Z'),
  ...more,
})

const first = { attempt: 0, invocation: 'first' }
/** As Count does: a dead run is ended first. */
const openRun = async (to: Connection, run: NewRun, counting = first) => {
  await abandonDeadRun(to)
  return openCounted(to, run, counting)
}

type Counted = Parameters<typeof recordCounted>[1]
const recordPlan = (to: Connection, run: Omit<Counted, 'invocation'> & { invocation?: string }) =>
  recordCounted(to, { ...first, ...run })

const age = (runId: string, minutes: number) =>
  stack.sql.query(
    'UPDATE taskmaster_reset.runs SET heartbeat_at = now() - make_interval(mins => $2) WHERE run_id = $1',
    [runId, minutes],
  )
const close = (runId: string, status = 'succeeded', outcome: unknown = { runId }) =>
  closeRun(connection, { runId, status, outcome, finishedAt: new Date() })

describe('the ledger', () => {
  test('keeps what it holds when it is created again', async () => {
    await openRun(connection, newRun('one'))
    await ensureLedger(connection)
    expect((await readRun(connection, 'one')).status).toBe('running')
  })

  test('is the role’s alone, whatever its default privileges give to others', async () => {
    const all = 'ON SCHEMAS TO PUBLIC; ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC'
    await stack.sql.query(`DROP SCHEMA taskmaster_reset CASCADE; ALTER DEFAULT PRIVILEGES GRANT ALL ${all}`)
    await ensureLedger(connection)
    const rights = await stack.sql.query(
      `SELECT has_schema_privilege('public', 'taskmaster_reset', 'USAGE') AS usage, has_table_privilege('public', 'taskmaster_reset.runs', 'INSERT') AS granted`,
    )
    expect(rights.rows).toEqual([{ usage: false, granted: true }])
    await stack.sql.query(
      `ALTER DEFAULT PRIVILEGES REVOKE ALL ${all.replaceAll(' TO ', ' FROM ').replaceAll('GRANT', 'REVOKE')}`,
    )
  })

  test('that is missing means that the environment was never claimed', async () => {
    await stack.sql.query('DROP SCHEMA taskmaster_reset CASCADE')
    expect(await readEnvironment(connection)).toBeUndefined()
    expect(await findRun(connection, 'one')).toBeUndefined()
    await expect(listRuns(connection, 5)).rejects.toMatchObject({ name: 'EnvironmentUnclaimed' })
    await expect(readRun(connection, 'one')).rejects.toMatchObject({ name: 'NotFound' })
  })

  test('holds one environment, whose name is never overwritten', async () => {
    await writeEnvironment(connection, { name: 'staging', protected: false })
    await writeEnvironment(connection, { name: 'staging', protected: true })
    expect(await readEnvironment(connection)).toEqual({ name: 'staging', protected: true })
    await writeEnvironment(connection, { name: 'other', protected: false })
    expect(await readEnvironment(connection)).toEqual({ name: 'staging', protected: true })
  })

  test('lists the newest runs first', async () => {
    for (const [runId, time] of [
      ['a', '2026-01-01T00:00:00Z'],
      ['c', '2026-03-01T00:00:00Z'],
      ['b', '2026-02-01T00:00:00Z'],
    ] as const) {
      await openRun(connection, newRun(runId, { startedAt: new Date(time) }))
      await close(runId)
    }
    expect((await listRuns(connection, 2)).map(({ runId }) => runId)).toEqual(['c', 'b'])
    await openRun(connection, newRun('bb', { startedAt: new Date('2026-02-01T00:00:00Z') }))
    const earlier = async (runId: string) => (await listRuns(connection, 9, runId)).map(({ runId }) => runId)
    expect([
      await earlier('c'),
      await earlier('bb'),
      await earlier('b'),
      await earlier('a'),
      await earlier('none'),
    ]).toEqual([...[['bb', 'b', 'a'], ['b', 'a'], ['a'], [], []]])
  })
})

describe('the lock', () => {
  test('is held by one run, whose step may take it again as a sign of life', async () => {
    expect(await openRun(connection, newRun('one'))).toEqual({ opened: true })
    await touchRun(connection, { runId: 'one', phase: 'Wipe database' })
    await age('one', 19)
    expect(await openRun(connection, newRun('one'))).toEqual({ opened: true })
    const row = await readRun(connection, 'one')
    expect(row.phase).toBe('Count')
    expect(Date.now() - row.heartbeatAt.getTime()).toBeLessThan(60_000)
    await expect(openRun(connection, newRun('two'))).rejects.toMatchObject({
      name: 'RunActive',
      activeRunId: 'one',
    })
    await close('one')
    expect(await openRun(connection, newRun('two'))).toEqual({ opened: true })
  })

  test('of two Counts that found different backups for one name the later stops, and the first goes on', async () => {
    await openRun(connection, newRun('one', { targetBackupId: 'a' }))
    for (const targetBackupId of ['b', null])
      await expect(openRun(connection, newRun('one', { targetBackupId }))).rejects.toThrow(
        /^A later invocation/,
      )
    expect(await openRun(connection, newRun('one', { targetBackupId: 'a' }))).toEqual({ opened: true })
    expect((await findRun(connection, 'one'))?.targetBackupId).toBe('a')
  })

  test('of a dead run goes to the next, and the dead one does not get it back', async () => {
    await openRun(connection, newRun('dead'))
    await age('dead', 21)
    expect(await openRun(connection, newRun('next'))).toEqual({ opened: true })
    expect(await readRun(connection, 'dead')).toMatchObject({ status: 'abandoned', outcome: null })
    await expect(openRun(connection, newRun('dead'))).rejects.toMatchObject({ name: 'RunLost' })
    for (const late of [
      () => touchRun(connection, { runId: 'dead', phase: 'Seal' }),
      () => recordPlan(connection, { runId: 'dead', attempt: 1, backupId: null, plan: {}, planDigest: null }),
      () => fenceRun(connection, 'dead'),
    ]) {
      await expect(late()).rejects.toMatchObject({ name: 'RunLost' })
    }
    await recordFailure(connection, 'dead', { error: 'E', message: 'm', phase: 'Seal' })
    await close('dead')
    expect(await readRun(connection, 'dead')).toMatchObject({
      status: 'abandoned',
      failure: null,
      outcome: null,
    })
  })

  test('is taken by one of 30 that come at the same moment', async () => {
    const clients = await makeClients()
    const names = Array.from({ length: 30 }, (_, i) => `run-${i}`)
    const answers = await Promise.allSettled(
      names.map(async (name) => {
        const own = await clients.connect()
        try {
          return await openRun(own, newRun(name))
        } finally {
          await own.end()
        }
      }),
    )
    const opened = answers.flatMap((answer, i) => (answer.status === 'fulfilled' ? [names[i]] : []))
    expect(opened).toHaveLength(1)
    for (const answer of answers)
      if (answer.status === 'rejected')
        expect(answer.reason).toMatchObject({ name: 'RunActive', activeRunId: opened[0] })
  })
})

const invocation = (id: string, runId: string, seconds = 60) => ({
  ...{ id, runId, requestId: `request of ${id}`, step: 'Wipe files', remaining: seconds * 1000 },
})

describe('a run that is over while an invocation of it may be alive', () => {
  test.each(['failed', 'succeeded', 'cancelled'].slice(0, isFull ? undefined : 1))(
    'is closing when it has %s: no other begins until that has ended',
    async (status) => {
      await openRun(connection, newRun('one'))
      expect(await registerInvocation(connection, invocation('a', 'one'))).toBe(true)
      expect((await readRun(connection, 'one')).closingUntil).toBeNull()
      await close('one', status)
      const { closingUntil } = await readRun(connection, 'one')
      expect(closingUntil?.getTime()).toBeGreaterThan(Date.now())
      expect((await listRuns(connection, 1))[0]?.closingUntil).toEqual(closingUntil)
      const refusal = { name: 'RunActive', activeRunId: 'one', message: expect.stringContaining('has ended') }
      await expect(openRun(connection, newRun('two'))).rejects.toMatchObject(refusal)
      await expect(checkIdle(connection)).rejects.toMatchObject(refusal)
      expect(await findRun(connection, 'two')).toBeUndefined()
      await forgetInvocation(connection, 'a')
      await checkIdle(connection)
      expect(await openRun(connection, newRun('two'))).toEqual({ opened: true })
      expect((await readRun(connection, 'one')).closingUntil).toBeNull()
    },
  )

  test('is closing until the deadline of one that was killed, which is then forgotten', async () => {
    await openRun(connection, newRun('one'))
    await registerInvocation(connection, invocation('killed', 'one'))
    await close('one', 'failed')
    await expect(openRun(connection, newRun('two'))).rejects.toMatchObject({ name: 'RunActive' })
    await stack.sql.query('UPDATE taskmaster_reset.invocations SET deadline = now()')
    expect(await openRun(connection, newRun('two'))).toEqual({ opened: true })
    expect((await stack.sql.query('SELECT * FROM taskmaster_reset.invocations')).rows).toEqual([])
  })

  test.runIf(isFull)(
    `is closing until the latest deadline of those that may be alive, as each of them said last ${inFullForm}`,
    async () => {
      await openRun(connection, newRun('one'))
      for (const [id, seconds] of [
        ['a', 50],
        ['a', 500],
        ['b', 100],
      ] as const)
        await registerInvocation(connection, invocation(id, 'one', seconds))
      await close('one', 'failed')
      const left = async () => ((await readRun(connection, 'one')).closingUntil?.getTime() ?? 0) - Date.now()
      expect(Math.abs((await left()) - 500_000)).toBeLessThan(40_000)
      await forgetInvocation(connection, 'a')
      expect(Math.abs((await left()) - 100_000)).toBeLessThan(40_000)
    },
  )

  test('is closing also when it was dead and is taken over', async () => {
    await openRun(connection, newRun('dead'))
    await registerInvocation(connection, invocation('a', 'dead'))
    await age('dead', 21)
    await expect(openRun(connection, newRun('next'))).rejects.toMatchObject({ activeRunId: 'dead' })
    expect((await readRun(connection, 'dead')).status).toBe('abandoned')
    await forgetInvocation(connection, 'a')
    expect(await openRun(connection, newRun('next'))).toEqual({ opened: true })
  })

  test.runIf(isFull)(
    `is closing also while its end prunes; what began meanwhile goes on ${inFullForm}`,
    async () => {
      await openRun(connection, newRun('one'))
      await close('one')
      await openRun(connection, newRun('two'))
      await registerAfterEnd(connection, invocation('prunes', 'one'))
      expect(await openRun(connection, newRun('two'))).toEqual({ opened: true })
      await close('two')
      await expect(openRun(connection, newRun('three'))).rejects.toMatchObject({ activeRunId: 'one' })
    },
  )

  test('is closing also when one ran out of time, of which a store may still carry out a request; one that failed is over', async () => {
    await openRun(connection, newRun('one'))
    let left = 60_000
    const wiping = (work: (fence: Fence) => Promise<void>) =>
      task(
        z.object({ runId: z.string() }),
        { phase: () => 'Wipe files', run: (input) => input },
        (_clients, _input, _report, fence) => work(fence),
      )({ runId: 'one' }, { functionName: 'wipe', awsRequestId: '', getRemainingTimeInMillis: () => left })
    const failing = wiping(async () => {
      throw new Error('of its own')
    })
    await expect(failing).rejects.toThrow('of its own')
    expect((await stack.sql.query('SELECT * FROM taskmaster_reset.invocations')).rows).toEqual([])
    const late = wiping(async (fence) => {
      left = 0
      await fence.check()
    })
    await expect(late).rejects.toMatchObject({ name: 'OutOfTime' })
    await close('one', 'failed')
    await expect(openRun(connection, newRun('two'))).rejects.toMatchObject({ activeRunId: 'one' })
  })

  test('is not joined by another invocation: what begins after its end learns so, and acts not', async () => {
    await openRun(connection, newRun('one'))
    await close('one', 'failed')
    expect(await registerInvocation(connection, invocation('late', 'one'))).toBe(false)
    await checkIdle(connection)
  })

  test('is seen by whoever begins at that moment: an invocation that waits for the end of its run acts not', async () => {
    await openRun(connection, newRun('one'))
    await stack.sql.query('BEGIN')
    await stack.sql.query(`UPDATE taskmaster_reset.runs SET status = 'failed' WHERE run_id = 'one'`)
    const late = registerInvocation(connection, invocation('late', 'one'))
    await stack.sql.query('COMMIT')
    expect(await late).toBe(false)
  })
})

describe('a step', () => {
  const Input = z.strictObject({ runId: z.string(), batch: z.number().optional() })
  type About = Partial<Parameters<typeof task<typeof Input, unknown>>[1]>
  type Verb = (fence: Fence, report: (done: number, total: number) => Promise<void>) => Promise<unknown>
  const context = { functionName: 'f', awsRequestId: 'request', getRemainingTimeInMillis: () => 60_000 }

  const runOf = ({ runId, batch }: z.output<typeof Input>) => ({
    runId,
    ...(batch === undefined ? {} : { batch }),
  })
  const step = (verb: Verb, about: About = {}) =>
    task(Input, { phase: () => 'Export', run: runOf, ...about }, (_clients, _input, report, fence) =>
      verb(fence, report),
    )
  const noted = async () =>
    (await stack.sql.query(`SELECT phase, progress, failure FROM taskmaster_reset.runs WHERE run_id = 'one'`))
      .rows[0]
  const invocations = async () =>
    (await stack.sql.query('SELECT run_id, step FROM taskmaster_reset.invocations')).rows
  const failureOf = (running: Promise<unknown>): Promise<Error> =>
    running.then(
      () => new Error('it succeeded'),
      (error) => error,
    )
  beforeEach(() => openRun(connection, newRun('one')))

  test('does not begin with an input that is wrong, nor when its guard refuses', async () => {
    const before = await noted()
    let begun = 0
    const verb = async () => ++begun
    const wrong = await failureOf(step(verb)({ runId: 7, batch: 'x', more: 1 }, context))
    expect(wrong).toMatchObject({ name: 'InvalidRequest' })
    expect(wrong.message).toMatch(/^The input of the state is wrong: runId: .*; batch: .*; input: .*"more"/)
    expect(await noted()).toEqual(before)
    const guard = async () => Promise.reject(new Error('refused'))
    await expect(step(verb, { guard })({ runId: 'one' }, context)).rejects.toThrow('refused')
    expect(await noted()).toEqual({
      ...before,
      failure: { error: 'Error', message: 'refused', phase: 'Export', batch: 0 },
    })
    expect(begun).toBe(0)
  })

  test('that fails is noted with its name and batch; no value of a row leaves it, and no message that is too long', async () => {
    const asking = step(() => stack.sql.query(`SELECT 'secret'::int`))
    const refused = await failureOf(asking({ runId: 'one', batch: 2 }, context))
    const message = 'invalid input syntax for type integer: "…"'
    expect(refused).toMatchObject({ name: 'DatabaseError', message })
    expect(refused.stack).toBe(`DatabaseError: ${message}`)
    expect((await noted()).failure).toEqual({ error: 'DatabaseError', message, phase: 'Export', batch: 2 })

    const long = step(() => Promise.reject(new Error('x'.repeat(5_000))))
    const short = await failureOf(long({ runId: 'one' }, context))
    expect(short.message).toMatch(/^x{3000,3999}.*the log has all of it/)
    expect(short.stack).toBe(`Error: ${short.message}`)
    expect((await noted()).failure.message).toHaveLength(5_000)
  })

  test('tells how far it is not at every moment, but always that it is done', async () => {
    const told: unknown[] = []
    const telling = step(async (_fence, report) => {
      for (const [done, milliseconds] of [
        [1, 0],
        [2, 1_999],
        [3, 1],
        [4, 1_999],
        [10, 0],
      ] as const) {
        vi.setSystemTime(Date.now() + milliseconds)
        await report(done, 10)
        told.push((await noted()).progress['Export/3']?.done)
      }
    })
    vi.useFakeTimers({ toFake: ['Date'] })
    try {
      await telling({ runId: 'one', batch: 3 }, context)
    } finally {
      vi.useRealTimers()
    }
    expect(told).toEqual([undefined, undefined, 3, 3, 10])
    expect(await noted()).toMatchObject({ phase: 'Export', progress: { 'Export/3': { total: 10 } } })
  })

  test('may change a store only while its run holds the lock, its time is not over, and it is the latest', async () => {
    const asked = (fence: Fence) => fence.check()
    const none = step(asked, { run: () => null })
    await expect(none({ runId: 'one' }, context)).rejects.toThrow('belongs to no run')
    let calls = 0
    const getRemainingTimeInMillis = () => (calls++ < 2 ? 60_000 : 0)
    const late = step(asked)({ runId: 'one' }, { ...context, getRemainingTimeInMillis })
    await expect(late, 'when the answer has come').rejects.toMatchObject({ name: 'OutOfTime' })

    const latestOnly = () => true
    const [held, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const earlier = step(
      async (fence) => {
        held.resolve()
        await released.promise
        await fence.check()
      },
      { latestOnly },
    )({ runId: 'one' }, context)
    await held.promise
    await step(asked, { latestOnly })({ runId: 'one' }, context)
    released.resolve()
    await expect(earlier).rejects.toMatchObject({ name: 'RunLost' })
    await close('one')
    await expect(step(asked)({ runId: 'one' }, context)).rejects.toMatchObject({ name: 'RunLost' })
  })

  test('is known while it may change a store, also after the end of its run, and nothing of it goes on', async () => {
    const signals: AbortSignal[] = []
    const looking = async ({ signal }: Fence) => {
      signals.push(signal)
      return invocations()
    }
    const wiping = { phase: () => 'Wipe files' }
    expect(await step(looking, wiping)({ runId: 'one' }, context)).toEqual([
      { run_id: 'one', step: 'Wipe files' },
    ])
    expect(await step(looking)({ runId: 'one' }, context)).toEqual([])
    await close('one')
    const pruning = { phase: () => 'Prune', run: () => null, endOf: (input: { runId: string }) => input }
    expect(await step(looking, pruning)({ runId: 'one' }, context)).toEqual([
      { run_id: 'one', step: 'Prune' },
    ])
    expect(await invocations()).toEqual([])
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true, true])
  })

  test('whose end or failure cannot be noted ends as it ended', async () => {
    const forgotten = step(
      () => stack.sql.query('DROP TABLE taskmaster_reset.invocations').then(() => 'done'),
      {
        phase: () => 'Wipe files',
      },
    )
    expect(await forgotten({ runId: 'one' }, context)).toBe('done')
    const failing = step(async () => {
      await stack.sql.query('DROP SCHEMA taskmaster_reset CASCADE')
      throw new Error('of its own')
    })
    await expect(failing({ runId: 'one' }, context)).rejects.toThrow('of its own')
  })
})

describe('a ledger of an earlier version', () => {
  const madeEarlier = async () => {
    await openRun(connection, newRun('old'))
    await close('old')
    await stack.sql.query(
      'DROP TABLE taskmaster_reset.invocations; ALTER TABLE taskmaster_reset.runs DROP fence',
    )
  }

  test('is read as it is, and brought up to date by the next run, which keeps its rows', async () => {
    await madeEarlier()
    expect((await listRuns(connection, 5)).map(({ runId }) => runId)).toEqual(['old'])
    expect(await findRun(connection, 'old')).toMatchObject({ status: 'succeeded', closingUntil: null })
    await checkIdle(connection)
    expect(await openRun(connection, newRun('new'))).toEqual({ opened: true })
    expect(await registerInvocation(connection, invocation('a', 'new'))).toBe(true)
    expect((await listRuns(connection, 5)).map(({ runId }) => runId)).toContain('old')
  })

  test('is left as it is while a run is active, which would have to wait for the change', async () => {
    await openRun(connection, newRun('old'))
    await stack.sql.query('DROP TABLE taskmaster_reset.invocations')
    await expect(openRun(connection, newRun('new'))).rejects.toMatchObject({ activeRunId: 'old' })
    await close('old')
    expect(await openRun(connection, newRun('new'))).toEqual({ opened: true })
  })

  test.runIf(isFull)(
    `is brought up to date once by ten that begin at the same moment ${inFullForm}`,
    async () => {
      await madeEarlier()
      const clients = await makeClients()
      const connections = await Promise.all(Array.from({ length: 10 }, () => clients.connect()))
      const answers = await Promise.allSettled(connections.map((own, i) => openRun(own, newRun(`run-${i}`))))
      await Promise.all(connections.map((own) => own.end()))
      const refused = answers.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason.name] : []))
      expect(refused).toEqual(Array.from({ length: 9 }, () => 'RunActive'))
    },
  )
})

describe('a run that is active', () => {
  const refusalBeside = async (more: Partial<NewRun>, phase: { phase: string; waits?: boolean }) => {
    await openRun(connection, newRun('one', more))
    await touchRun(connection, { runId: 'one', ...phase })
    const refused = openRun(connection, newRun('two'))
    return refused.then(
      () => '',
      (error: Error) => error.message,
    )
  }
  const begun = 'is active since 2026-11-22 19:05:33 UTC. '

  test('is told with what it does, and can be cancelled until it changes something', async () => {
    expect(await refusalBeside({}, { phase: 'Wipe database', waits: true })).toContain(
      `Run one (reset, in Wipe database: waiting for locks) ${begun}It has changed nothing yet: wait for it, or cancel it; a dead run is taken over 20 minutes after`,
    )
    await touchRun(connection, { runId: 'one', phase: 'Wipe database' })
    expect((await readRun(connection, 'one')).waiting).toBe('waiting for locks') // a sign of life is no grant
    await noteGranted(connection, 'one')
    await expect(checkIdle(connection)).rejects.toThrow(
      `(reset, in Wipe database) ${begun}Wait for it: it changes what it acts on, or is about to, and cannot be cancelled any more;`,
    )
  })

  test('is waited for when it is a claim', async () => {
    expect(await refusalBeside({ operation: 'claim', strategy: null }, { phase: 'Count' })).toContain(
      `Run one (claim, in Count) ${begun}Wait for it; a dead run`,
    )
  })

  test('is called as people call it when it goes back to a backup', async () => {
    expect(await refusalBeside({ operation: 'reset-to' }, { phase: 'Count' })).toContain(
      `Run one (reset, in Count) ${begun}`,
    )
  })

  test('shows a sign of life by whatever it says, also that it waits, and holds up nobody once it is dead', async () => {
    await openRun(connection, newRun('one'))
    const signs: (() => Promise<unknown>)[] = [
      () => touchRun(connection, { runId: 'one', phase: 'Seal' }),
      () => noteWaiting(connection, 'one', 'waiting for public.t'),
      () => noteGranted(connection, 'one'),
      () => recordPlan(connection, { runId: 'one', attempt: 1, backupId: null, plan: {}, planDigest: null }),
      () => recordWiped(connection, 'one', {}, { bytes: 7, milliseconds: 8 }),
      () => recordRestored(connection, 'one', {}, { bytes: 9, milliseconds: 8 }),
    ]
    for (const sign of signs) {
      await age('one', 19)
      await sign()
      expect(Date.now() - (await readRun(connection, 'one')).heartbeatAt.getTime()).toBeLessThan(60_000)
    }
    await expect(checkIdle(connection)).rejects.toMatchObject({ activeRunId: 'one' })
    await age('one', 21)
    await checkIdle(connection)
  })
})

test('after its end, and not before, the cache obeys a run no more that may have acted on it', async () => {
  const clients = await makeClients()
  for (const [plan, isClosed] of [
    [{ clears: ['cache'] }, true],
    [{ of: 'another version' }, true],
    [{ clears: ['database', 'files'] }, false],
    [null, false],
  ] as const) {
    await openRun(connection, newRun('one'))
    await recordPlan(connection, { runId: 'one', attempt: 0, backupId: null, plan, planDigest: null })
    const number = String((await readRun(connection, 'one')).fence)
    await stack.redis.set(fenceKey, number)
    await tidyUp(clients, 'one')
    expect(await stack.redis.get(fenceKey)).toBe(number)
    await close('one', 'failed')
    await tidyUp(clients, 'one')
    expect(await stack.redis.get(fenceKey), JSON.stringify(plan)).toBe(isClosed ? 'closed' : number)
    await stack.sql.query('DELETE FROM taskmaster_reset.runs')
  }
  await tidyUp(clients, 'none')
})

describe('what a step has committed', () => {
  test('is found by its repeat, with what became of the views, and for how long the locks were held', async () => {
    for (const [runId, record, column] of [
      ['wipes', recordWiped, 'wiped'],
      ['restores', recordRestored, 'restored'],
    ] as const) {
      await openRun(connection, newRun(runId))
      expect(await fenceRun(connection, runId)).toBeNull()
      await recordViews(connection, runId, { refreshed: [] })
      await record(connection, runId, { rows: 1 }, { bytes: 7, milliseconds: 8 })
      await recordViews(connection, runId, { refreshed: ['v'], stale: [] })
      expect(await fenceRun(connection, runId)).toEqual({ rows: 1, views: { refreshed: ['v'], stale: [] } })
      await close(runId)
      await recordViews(connection, runId, { refreshed: [], stale: [] })
      const none = column === 'wiped' ? 'restored' : 'wiped'
      expect(await readRun(connection, runId)).toMatchObject({
        ...{ [column]: { rows: 1, views: { refreshed: ['v'] } }, [none]: null },
        locked: { bytes: 7, milliseconds: 8 },
      })
    }
  })

  test('is nothing that a run has to say which is over', async () => {
    await openRun(connection, newRun('one'))
    await close('one', 'failed', { first: true })
    const lost = { name: 'RunLost', message: expect.stringContaining('no longer the active run') }
    await expect(noteWaiting(connection, 'one', 'x')).rejects.toMatchObject(lost)
    await expect(noteGranted(connection, 'one')).rejects.toMatchObject(lost)
    await expect(checkRunning(connection, 'one')).rejects.toMatchObject(lost)
    await expect(checkRunning(connection, 'none')).rejects.toMatchObject(lost)
    await expect(noteLate(connection, 'one', null)).rejects.toMatchObject({ name: 'RunLost' })
    const failure = { error: 'Cancelled', message: 'm', phase: 'Seal' }
    await closeRun(connection, { runId: 'one', status: 'cancelled', failure, finishedAt: new Date() })
    expect(await readRun(connection, 'one')).toMatchObject({ status: 'failed', failure: null, late: null })
  })

  test('is told by the latest invocation of a step alone', async () => {
    await openRun(connection, newRun('one'))
    await touchRun(connection, { runId: 'one', phase: 'Wipe cache', latestInvocation: 'early' })
    await checkRunning(connection, 'one', 'early')
    await touchRun(connection, { runId: 'one', phase: 'Wipe cache', latestInvocation: 'later' })
    await touchRun(connection, { runId: 'one', phase: 'Wipe cache' })
    await checkRunning(connection, 'one', 'later')
    await checkRunning(connection, 'one')
    await expect(checkRunning(connection, 'one', 'early')).rejects.toThrow('A later invocation of this step')
  })
})

describe('what the ledger holds of documents', () => {
  const late = (attempt: number) => ({ attempt, sha256: String(attempt).repeat(64) })
  const counts = () => readLateNoted(connection, 'b')

  test('is the plan of the latest attempt: none while it is being counted', async () => {
    const again = { attempt: 1, invocation: 'again' }
    await openRun(connection, newRun('one'))
    const plan = { runId: 'one', backupId: null, plan: {}, planDigest: 'a'.repeat(64) }
    await recordPlan(connection, { ...plan, attempt: 0 })
    expect(await readNoted(connection, 'one')).toEqual({ attempt: 0, planDigest: 'a'.repeat(64) })
    await openRun(connection, newRun('one')) // its answer was lost
    expect(await readNoted(connection, 'one')).toEqual({ attempt: 0, planDigest: 'a'.repeat(64) })
    await touchRun(connection, { runId: 'one', phase: 'Wipe database', waits: true })
    await openRun(connection, newRun('one'), again)
    expect(await readNoted(connection, 'one')).toEqual({ attempt: 1, planDigest: null })
    expect(await readRun(connection, 'one')).toMatchObject({ phase: 'Count', waiting: null })
    await expect(readNoted(connection, 'none')).rejects.toMatchObject({ name: 'RunLost' })
  })

  test('is the late file that was noted last for a backup, or that none counts, or nothing', async () => {
    const plan = { attempt: 0, backupId: 'b', plan: {}, planDigest: null }
    await openRun(connection, newRun('one'))
    await recordPlan(connection, { ...plan, runId: 'one' })
    expect(await counts()).toBeUndefined()
    await noteLate(connection, 'one', null)
    expect(await counts()).toBeNull()
    await noteLate(connection, 'one', late(1))
    expect(await counts()).toEqual(late(1))
    await close('one')
    // A later run that wrote to the same backup counts, and one that noted nothing takes nothing away.
    for (const [runId, day, noted] of [
      ['two', 23, late(2)],
      ['three', 24, undefined],
    ] as const) {
      await openRun(connection, newRun(runId, { startedAt: new Date(`2026-11-${day}T00:00:00Z`) }))
      await recordPlan(connection, { ...plan, runId })
      if (noted !== undefined) await noteLate(connection, runId, noted)
      await close(runId)
      expect(await counts()).toEqual(late(2))
    }
    expect(await readLateNoted(connection, 'another')).toBeUndefined()
  })

  test('is replaced by the latest invocation that went on from what counted, once, and also when its answer was lost', async () => {
    await openRun(connection, newRun('one'))
    await recordPlan(connection, { runId: 'one', attempt: 0, backupId: 'b', plan: {}, planDigest: null })
    await touchRun(connection, { runId: 'one', phase: 'Wipe cache', latestInvocation: 'latest' })
    type About = Parameters<typeof replaceLate>[2]
    const replace = (to: About['late'], before: About['before'], invocation = 'latest') =>
      replaceLate(connection, 'one', { late: to, before, invocation })
    await expect(replace(late(1), undefined, 'early')).rejects.toMatchObject({ name: 'RunLost' })
    expect(await counts()).toBeUndefined()
    await replace(null, undefined)
    await replace(late(1), null)
    await replace(late(1), null)
    expect(await counts()).toEqual(late(1))
    for (const before of [undefined, null, late(3)])
      await expect(replace(late(2), before)).rejects.toMatchObject({ name: 'StoreUnavailable' })
    expect(await counts()).toEqual(late(1))
    await replace(late(2), late(1))
    expect(await counts()).toEqual(late(2))
    await close('one')
    await expect(replace(late(3), late(2))).rejects.toMatchObject({ name: 'RunLost' })
    expect(await counts()).toEqual(late(2))
  })
})

test('when a token was used last is known, whichever of two uses is noted first, and of no ledger nothing is', async () => {
  const at = (minute: number) => new Date(Date.UTC(2026, 10, 22, 19, minute))
  for (const minute of [5, 7, 6]) await noteTokenUse(connection, 'night', at(minute))
  await noteTokenUse(connection, 'other', at(1))
  expect(await readTokenUses(connection)).toEqual(
    new Map([
      ['night', at(7)],
      ['other', at(1)],
    ]),
  )
  await stack.sql.query('DROP TABLE taskmaster_reset.tokens')
  await noteTokenUse(connection, 'night', at(9))
  expect(await readTokenUses(connection)).toEqual(new Map())
})

test("the clock that backups are compared by is the database's, and goes on", async () => {
  const clock = await databaseClock(await makeClients())
  const begun = clock().getTime()
  const { now } = (await stack.sql.query('SELECT clock_timestamp() AS now, pg_sleep(0.02)')).rows[0]
  expect(Math.abs(now.getTime() - begun)).toBeLessThan(5_000)
  expect(clock().getTime()).toBeGreaterThanOrEqual(begun + 15)
})

describe('an idempotency key', () => {
  test('gives the first run to whoever says the same, also after it ended, and nobody else', async () => {
    await openRun(connection, newRun('first', { idempotencyKey: 'key' }))
    const again = newRun('again', { idempotencyKey: 'key', requestedBy: 'somebody else' })
    expect(await openRun(connection, again)).toMatchObject({ repeats: { runId: 'first', status: 'running' } })
    await close('first', 'failed')
    expect(await openRun(connection, again)).toMatchObject({ repeats: { runId: 'first', status: 'failed' } })
    await expect(
      openRun(connection, newRun('other', { idempotencyKey: 'key', requestDigest: 'another' })),
    ).rejects.toMatchObject({ name: 'IdempotencyConflict' })
    expect((await listRuns(connection, 9)).map(({ runId }) => runId)).toEqual(['first'])
  })
})

test('a dead run is answered to whoever repeats its request as what it is, and holds up nobody', async () => {
  await openRun(connection, newRun('first', { idempotencyKey: 'key' }))
  await age('first', 21)
  const again = newRun('again', { idempotencyKey: 'key' })
  expect(await openRun(connection, again)).toMatchObject({ repeats: { runId: 'first', status: 'abandoned' } })
  expect((await readRun(connection, 'first')).finishedAt).not.toBeNull()
  expect(await openRun(connection, newRun('other'))).toEqual({ opened: true })
})

test('who ends a run is told so once, however it ends; who comes later is not', async () => {
  await openRun(connection, newRun('one'))
  expect(await abandonDeadRun(connection)).toBeUndefined()
  const closing = await Promise.all([close('one'), close('one', 'cancelled')])
  expect(closing.toSorted()).toEqual(['one', undefined])
  await openRun(connection, newRun('dead'))
  await age('dead', 21)
  expect(await abandonDeadRun(connection)).toBe('dead')
  expect([await abandonDeadRun(connection), await close('dead')]).toEqual([undefined, undefined])
})

describe('a failure', () => {
  const failure = { error: 'StoreUnavailable', message: 'gone', phase: 'Copy files', batch: 3 }

  test('is noted until its step is repeated, and not until another one goes on', async () => {
    await openRun(connection, newRun('one'))
    await recordFailure(connection, 'one', failure)
    for (const other of [
      { phase: 'Export cache', batch: 3 },
      { phase: 'Copy files', batch: 4 },
      { phase: 'Copy files' },
    ]) {
      await touchRun(connection, { runId: 'one', ...other })
      expect((await readRun(connection, 'one')).failure).toEqual(failure)
    }
    await touchRun(connection, { runId: 'one', phase: 'Copy files', batch: 3 })
    expect((await readRun(connection, 'one')).failure).toBeNull()
  })
})

describe('a text that JSON columns refuse', () => {
  const [half, nul] = ['😀'.slice(0, 1), 'a\0b']
  const odd = { [nul]: `${half}${nul}`, list: [{ half: '😀'.slice(1) }], kept: '😀 \\u0000' }
  const told = { 'a\\u0000b': '\ufffda\\u0000b', list: [{ half: '\ufffd' }], kept: '😀 \\u0000' }

  test('is told in one that they take, whatever part of a run holds it', async () => {
    await openRun(connection, newRun('one', { requestedBy: nul, idempotencyKey: `${nul}${half}` }))
    await recordPlan(connection, { runId: 'one', attempt: 0, backupId: null, plan: odd, planDigest: null })
    await recordFailure(connection, 'one', { error: 'E', message: nul, phase: 'Seal' })
    await recordWiped(connection, 'one', odd, { bytes: 0, milliseconds: 0 })
    await recordRestored(connection, 'one', odd, { bytes: 0, milliseconds: 0 })
    await close('one', 'failed', odd)
    const row = await readRun(connection, 'one')
    expect(row).toMatchObject({ requestedBy: 'a\\u0000b', failure: { message: 'a\\u0000b' } })
    for (const part of [row.plan, row.wiped, row.restored, row.outcome]) expect(part).toEqual(told)
  })

  test('is any text at all: whatever the ledger is given, it can hold', async () => {
    const texts = fc.array(fc.string({ unit: 'binary' }).map((text) => text + half + nul))
    const samples = fc.sample(
      fc.dictionary(fc.string({ unit: 'binary' }), texts),
      rounds({ short: 20, full: 200 }),
    )
    await openRun(connection, newRun('one'))
    await close('one', 'failed', { samples })
    expect((await readRun(connection, 'one')).outcome).toEqual(storable({ samples }))
  })
})

describe('progress', () => {
  test('is kept per step and batch, and begins anew with a new plan', async () => {
    await openRun(connection, newRun('one'))
    await touchRun(connection, { runId: 'one', phase: 'A', progress: { 'A/0': { done: 1, total: 2 } } })
    await touchRun(connection, { runId: 'one', phase: 'A', progress: { 'A/1': { done: 5, total: 5 } } })
    await touchRun(connection, { runId: 'one', phase: 'A', progress: { 'A/0': { done: 2, total: 2 } } })
    await touchRun(connection, { runId: 'one', phase: 'B' })
    expect((await readRun(connection, 'one')).progress).toEqual({
      'A/0': { done: 2, total: 2 },
      'A/1': { done: 5, total: 5 },
    })
    await recordPlan(connection, {
      ...{ runId: 'one', attempt: 1, backupId: 'b', plan: { strategy: 'full' } },
      planDigest: 'c'.repeat(64),
    })
    expect(await readRun(connection, 'one')).toMatchObject({ progress: {}, attempt: 1, backupId: 'b' })
  })
})

describe('a Count that was given up, and wakes up late,', () => {
  const plan = (counting: { attempt: number; invocation: string }) =>
    recordPlan(connection, {
      ...{ runId: 'one', ...counting, backupId: null, plan: { of: counting } },
      planDigest: counting.invocation.padEnd(64, '-'),
    })
  const early = { attempt: 0, invocation: 'early' }
  const repeat = { attempt: 0, invocation: 'repeat' }
  const isLost = { name: 'RunLost' }

  test('puts no plan in the place of the one that the steps got their batches from', async () => {
    await openRun(connection, newRun('one'), early)
    await openRun(connection, newRun('one'), repeat)
    await plan(repeat)
    await expect(plan(early)).rejects.toMatchObject(isLost)
    await touchRun(connection, { runId: 'one', phase: 'Wipe files' })
    await expect(plan(early)).rejects.toMatchObject(isLost)
    expect(await readRun(connection, 'one')).toMatchObject({ plan: { of: repeat }, phase: 'Wipe files' })
  })

  test('does not take a run back that is at work, as if nothing had begun', async () => {
    await openRun(connection, newRun('one'), repeat)
    await plan(repeat)
    await openRun(connection, newRun('one'), repeat) // its answer was lost
    await plan(repeat)
    await touchRun(connection, { runId: 'one', phase: 'Wipe files' })
    await expect(openRun(connection, newRun('one'), early)).rejects.toMatchObject(isLost)
    expect(isCancellable(await readRun(connection, 'one'))).toBe(false)
  })

  test('does not come before "Count again", be it at work or done', async () => {
    const again = { attempt: 1, invocation: 'again' }
    await openRun(connection, newRun('one'), early)
    await plan(early)
    await touchRun(connection, { runId: 'one', phase: 'Wipe database' })
    await openRun(connection, newRun('one'), again)
    await touchRun(connection, { runId: 'one', phase: 'Export cache' }) // of an export that was given up
    await expect(openRun(connection, newRun('one'), early)).rejects.toMatchObject(isLost)
    await expect(plan(early)).rejects.toMatchObject(isLost)
    await plan(again)
    expect(await readRun(connection, 'one')).toMatchObject({ attempt: 1, plan: { of: again } })
  })
})

describe('the end of a run', () => {
  const plan = {
    ...{
      clears: ['database'],
      dryRun: false,
      files: null,
      cache: null,
      restore: null,
      warnings: [] as object[],
    },
    database: { views: [] as string[] },
  }
  /** What Finish makes of a run of which everything stands in the ledger. */
  const end = async (error?: { Error: string; Cause?: string }, runId = 'one') =>
    finish(await makeClients(), { runId, error })
  const begin = async (set: Record<string, unknown> = {}, more: Partial<NewRun> = {}) => {
    await openRun(connection, newRun('one', more))
    for (const [column, value] of Object.entries(set))
      await stack.sql.query(`UPDATE taskmaster_reset.runs SET ${column} = $1`, [
        typeof value === 'string' ? value : JSON.stringify(value),
      ])
  }
  const failure = { Error: 'StoreUnavailable', Cause: JSON.stringify({ errorMessage: 'S3 is away' }) }
  const told = { Error: 'StoreUnavailable', Cause: 'S3 is away' }
  const wiped = { rows: 7, tables: { 'public.a': 7 }, lateParts: 0, appeared: [] as string[], views: null }

  test('that went well is told so, also when it is told twice, or when something fails after it', async () => {
    await begin({ plan, wiped, phase: 'Wipe database' })
    const outcome = await end()
    expect(outcome).toMatchObject({
      ...{
        runId: 'one',
        operation: 'reset',
        strategy: 'full',
        status: 'succeeded',
        error: null,
        warnings: [],
      },
      targets: {
        database: { state: 'wiped', rows: 7, tables: { 'public.a': 7 } },
        cache: { state: 'untouched' },
      },
    })
    expect(outcome).not.toHaveProperty('dryRun')
    expect(await readRun(connection, 'one')).toMatchObject({ status: 'succeeded', outcome })
    expect(await end()).toEqual(outcome)
    expect(await end(failure)).toEqual(outcome)
  })

  test('that failed is the failure for good: Finish that wakes up late does not make a success of it', async () => {
    await begin({ plan })
    expect(await end(failure)).toEqual(told)
    expect(await readRun(connection, 'one')).toMatchObject({
      status: 'failed',
      outcome: { status: 'failed', error: { name: 'StoreUnavailable', message: 'S3 is away' } },
    })
    await expect(end()).rejects.toMatchObject({ name: 'RunLost' })
    expect(await end({ Error: 'Another', Cause: 'later' })).toEqual(told)
  })

  test('of one that was cancelled stays that, and of one that never had a row is what stopped it', async () => {
    await begin({ plan, status: 'cancelled' })
    await expect(end()).rejects.toMatchObject({ name: 'RunLost' })
    expect(await end(failure)).toEqual(told)
    expect(await readRun(connection, 'one')).toMatchObject({ status: 'cancelled', outcome: null })
    await expect(end(undefined, 'none')).rejects.toMatchObject({ name: 'NotFound' })
    expect(await end(failure, 'none')).toEqual(told)
    for (const [Cause, wanted] of [
      ['a plain text', 'a plain text'],
      ['{"other": 1}', '{"other": 1}'],
      [undefined, ''],
    ])
      expect(
        await end({ Error: 'States.Timeout', ...(Cause === undefined ? {} : { Cause }) }, 'none'),
      ).toEqual({
        ...{ Error: 'States.Timeout', Cause: wanted },
      })
    const long = await end({ Error: 'E', Cause: 'x'.repeat(9_000) }, 'none')
    expect((long as { Cause: string }).Cause).toMatch(/^x{8000}… \(shortened; the ledger has all of it\)$/)
  })

  test.runIf(isFull)(
    `of which a Map knows only that children failed is told by what they noted, or that they said nothing ${inFullForm}`,
    async () => {
      const children = { Error: 'States.ExceedToleratedFailureThreshold', Cause: 'too many' }
      const noted = { error: 'NotPermitted', message: 'no right', phase: 'Copy files', batch: 0 }
      await begin({ plan, phase: 'Copy files' })
      expect(await end(children)).toEqual({
        Error: children.Error,
        Cause: expect.stringMatching(
          /^A batch of the step "Copy files" ended without saying why: .*\(too many\)/,
        ),
      })
      await stack.sql.query(`UPDATE taskmaster_reset.runs SET status = 'cancelled', outcome = NULL`)
      expect(await end(children)).toMatchObject({ Error: 'RunLost' })
      await stack.sql.query('UPDATE taskmaster_reset.runs SET failure = $1', [noted])
      expect(await end(children)).toEqual({ Error: 'NotPermitted', Cause: 'no right' })
    },
  )

  test('is with warnings when there are any, each told once, and those that a plan foretold only until they are known', async () => {
    const [any, views] = [
      { code: 'Any', message: 'of the plan' },
      { code: 'ViewsNotRefreshed', message: 'foretold' },
    ]
    const warned = { ...plan, warnings: [any, views, any], database: { views: ['public.v'] } }
    await begin({ plan: warned, wiped: { ...wiped, appeared: ['public.b', 'public.c'] } })
    expect(await end()).toMatchObject({
      status: 'succeeded_with_warnings',
      warnings: [
        any,
        { code: 'ViewsNotRefreshed', message: expect.stringContaining('public.v (the step ended before)') },
        { code: 'TablesAppeared', message: 'Created since the count, so not wiped: public.b, public.c' },
      ],
    })
    await stack.sql.query('DELETE FROM taskmaster_reset.runs')
    await begin({ plan: warned }, { operation: 'backup' })
    expect(await end()).toMatchObject({ warnings: [any, views] })
  })

  test('is a failure where the machine came to it past a wipe or a restore that the run was to do', async () => {
    for (const [operation, error] of [
      ['reset', { name: 'WipeIncomplete', message: /: the tables were not wiped\. / }],
      ['reset-to', { name: 'RestoreIncomplete', message: /: the tables were not put back\. / }],
    ] as const) {
      await begin({ plan }, { operation })
      await expect(end()).rejects.toMatchObject({
        name: error.name,
        message: expect.stringMatching(error.message),
      })
      await stack.sql.query('DELETE FROM taskmaster_reset.runs')
    }
  })

  test.runIf(isFull)(
    `of a dry run says so, and what would refuse the real one; of a restore, which backup; of a claim, what it warned of ${inFullForm}`,
    async () => {
      const refusal = { name: 'EnvironmentProtected', message: 'it is protected' }
      await begin({ plan: { ...plan, dryRun: true, refusal } })
      expect(await end()).toMatchObject({
        ...{ dryRun: true, refusal, status: 'succeeded' },
        targets: { database: { state: 'untouched' } },
      })
      await stack.sql.query('DELETE FROM taskmaster_reset.runs')
      await begin({ plan: { ...plan, dryRun: true } })
      expect(await end({ Error: 'LimitExceeded', Cause: 'too many' })).toMatchObject({
        Error: 'LimitExceeded',
      })
      expect((await readRun(connection, 'one')).outcome).toMatchObject({
        ...{ dryRun: true, refusal: { name: 'LimitExceeded', message: 'too many' } },
      })
      await stack.sql.query('DELETE FROM taskmaster_reset.runs')
      await begin({}, { operation: 'claim', strategy: null })
      expect(await end()).toMatchObject({ status: 'succeeded', warnings: [] })
    },
  )

  test('is written once', async () => {
    await openRun(connection, newRun('one'))
    await close('one', 'failed', { first: true })
    await close('one', 'succeeded', { second: true })
    expect(await readRun(connection, 'one')).toMatchObject({ status: 'failed', outcome: { first: true } })
  })
})

test('an invocation that wakes up late and waits for tables does not make it look as if what came after them had not begun', async () => {
  await openRun(connection, newRun('one'))
  await touchRun(connection, { runId: 'one', phase: 'Wipe database', waits: true })
  await noteWaiting(connection, 'one', 'waiting for public.t')
  expect(await readRun(connection, 'one')).toMatchObject({ waiting: 'waiting for public.t' })
  await recordWiped(connection, 'one', { rows: 1 }, { bytes: 1, milliseconds: 1 })
  await touchRun(connection, { runId: 'one', phase: 'Wipe cache' })
  await noteWaiting(connection, 'one', 'waiting for public.t')
  const row = await readRun(connection, 'one')
  expect(row).toMatchObject({ phase: 'Wipe cache', waiting: null })
  expect(hasBegun(row, 'cache')).toBe(true)
})

test('what is committed cannot be called off, also while its step, repeated, waits for locks again', () => {
  const waits = {
    status: 'running',
    operation: 'reset',
    phase: 'Wipe database',
    waiting: 'waiting for locks',
  }
  const row = { ...waits, wiped: null, restored: null } as unknown as RunRow
  expect(isCancellable(row)).toBe(true)
  expect(isCancellable({ ...row, wiped: { rows: 1 } })).toBe(false)
  expect(isCancellable({ ...row, restored: { rows: 1 } })).toBe(false)
  expect(isCancellable({ ...row, waiting: null })).toBe(false)
})
