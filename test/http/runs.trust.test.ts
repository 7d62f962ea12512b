import { createHash } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startJsonService } from '../deployment/json-front.ts'
import { filesPrefix, quickReset, withVariables } from '../e2e/reset-stack.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import { tokenOf, useApi } from './api-stack.ts'

let beforeTask: (state: string) => void | Promise<void> = () => {}
const api = useApi({ beforeTask: (state) => beforeTask(state) })
const backup = { operation: 'backup', strategy: 'cache-only' } as const

beforeEach(async () => {
  beforeTask = () => {}
  await api.reset.seed({ users: 20, files: 3, keys: 4 })
})

/** Holds every run back before a state; `reached` resolves when the first one is there. */
function holdBefore(name: string) {
  const { promise: reached, resolve: arrive } = Promise.withResolvers<void>()
  const { promise: released, resolve: release } = Promise.withResolvers<void>()
  beforeTask = async (state) => {
    if (state !== name) return
    arrive()
    await released
  }
  return { reached, release }
}

const start = (body: object, asked = {}) => api.ask('POST', '/v1/runs', { ...asked, body })
const keyed = (key: string) => ({ headers: { 'idempotency-key': key } })

describe('a run', () => {
  test('is started, and told to its end with what it did and who asked', async () => {
    const { status, headers, body } = await start(quickReset, { as: 'reset' })
    expect(status).toBe(202)
    expect(body).toEqual({ runId: expect.any(String), address: `/v1/runs/${body.runId}` })
    expect(headers.get('location')).toBe(body.address)
    const run = await api.ended(body.runId)
    expect(run).toMatchObject({
      operation: 'reset',
      strategy: 'full',
      status: 'succeeded',
      requestedBy: 'api:reset',
      dryRun: false,
      cancellable: false,
      restoredBackupId: null,
      error: null,
      plan: {
        database: { tables: 6, batches: 1 },
        files: { objects: 3 },
        cache: { keys: 5 },
        wipes: ['database', 'files', 'cache'],
        backsUp: ['database', 'files', 'cache'],
        rehearse: false,
      },
      outcome: {
        targets: { database: { state: 'wiped' }, files: { state: 'wiped' }, cache: { state: 'wiped' } },
      },
    })
    expect(run.progress['Copy files']).toEqual({ done: 3, total: 3 })
    expect(run.plan.database.rows).toBe(run.outcome.targets.database.rows)
    expect(await api.reset.rows()).toMatchObject({
      'public.users': 0,
      'public.stories': 0,
      'public.events': 0,
    })
  })

  test('that is dry says what it would do, and does nothing', async () => {
    const before = await api.reset.fingerprint()
    const run = await api.follow({ operation: 'reset', strategy: 'files-only', dryRun: true })
    expect(run).toMatchObject({ status: 'succeeded', dryRun: true, backupId: null })
    expect(run.plan).toMatchObject({ database: null, files: { objects: 3 }, wipes: ['files'] })
    expect(await api.reset.fingerprint()).toEqual(before)
  })

  test('that is dry says of each table, of the files and of the cache what would go and what would stay', async () => {
    const request = { ...quickReset, dryRun: true, rehearse: 'auto' }
    const preserve = { tables: ['tickets'], files: ['pinned/'], keys: ['session:*'] }
    const run = await api.follow({ ...request, preserve })
    expect(run.outcome).toMatchObject({ dryRun: true, refusal: null })
    const { tables } = run.wouldDo.database
    expect(run.wouldDo).toMatchObject({ refusal: null, backsUp: true, rehearses: true, restores: null })
    const rows = await api.reset.rows()
    for (const { name, would, rows: counted, keptRows, rowsAfter } of tables) {
      const stays = name === 'public.tickets' ? rows[name] : 0
      const wanted = { would: name === 'public.tickets' ? 'kept' : 'wiped', counted: rows[name] }
      expect({ name, would, counted, keptRows, rowsAfter }).toEqual({
        ...{ name, ...wanted, keptRows: stays, rowsAfter: stays },
      })
    }
    expect(tables.length).toBe(run.plan.database.tables)
    expect(run.wouldDo.files).toMatchObject({ objects: 3, preservedObjects: 1 })
    expect(run.wouldDo.cache.keys).toBe(run.plan.cache.keys)
  })

  test.runIf(isFull)(
    `that is dry says of a restore how many rows each table has now, and how many it would have ${inFullForm}`,
    async () => {
      const { backupId } = await api.follow({ ...backup, strategy: 'full', rehearse: false })
      await api.reset.stack.sql.query('DELETE FROM events')
      const run = await api.follow({ operation: 'restore', backupId, dryRun: true, exact: true })
      const before = (await api.ask('GET', `/v1/backups/${backupId}`)).body.tables
      const named = ({ name }: { name: string }) => name === 'public.events'
      const { rows } = before.find(named)
      expect(rows).toBeGreaterThan(0)
      expect(run.wouldDo.database.tables.find(named)).toEqual({
        ...{ name: 'public.events', would: 'replaced', rows: 0, keptRows: 0, rowsAfter: rows },
      })
      expect(run.wouldDo.restores).toEqual({ backupId, objects: 3, keys: run.plan.cache.keys, exact: true })
      await api.reset.seed({ users: 20, files: 3, keys: 4 })
    },
  )

  test.runIf(isFull)(
    `that is dry says why the real one would be refused, and what it would have done ${inFullForm}`,
    async () => {
      const refused = async (variables: Record<string, string>, request: object = {}) =>
        withVariables(variables, () =>
          api.follow({ ...quickReset, confirm: undefined, dryRun: true, ...request }),
        )
      const isProtected = await refused({ PROTECTED: 'true' })
      expect(isProtected).toMatchObject({ status: 'succeeded', dryRun: true, error: null })
      expect(isProtected.wouldDo.refusal).toMatchObject({ name: 'EnvironmentProtected' })
      expect(isProtected.outcome.refusal).toEqual(isProtected.wouldDo.refusal)

      const tooMany = await refused({ MAX_OBJECTS: '2' })
      expect(tooMany).toMatchObject({ status: 'failed', dryRun: true, error: { name: 'LimitExceeded' } })
      expect(tooMany.wouldDo.refusal).toEqual(tooMany.error)
      expect(tooMany.wouldDo.files).toMatchObject({ objects: 3 })

      // Refused before anything is counted, it is a dry run all the same.
      const unknown = await refused({}, { preserve: { tables: ['no_such_table'] } })
      expect(unknown).toMatchObject({ status: 'failed', dryRun: true })
      expect(unknown.wouldDo.refusal).toMatchObject({ name: 'InvalidRequest' })
    },
  )

  test.runIf(isFull)(`puts a backup back, and names it ${inFullForm}`, async () => {
    await api.reset.stack.redis.del('hash') // its expiry may come back a millisecond earlier
    const before = (await api.reset.fingerprint()).cache
    const { backupId } = await api.follow({ ...quickReset, strategy: 'cache-only' })
    const run = await api.follow({ operation: 'restore', backupId, confirm: 'local' }, { as: 'restore' })
    expect(run).toMatchObject({ status: 'succeeded', restoredBackupId: backupId })
    expect(run.backupId).not.toBe(backupId)
    expect(run.plan).toMatchObject({ wipes: [], backsUp: ['cache'] })
    expect((await api.reset.fingerprint()).cache).toEqual(before)
  })

  test('is told as starting until it has its row', async () => {
    const count = holdBefore('Count')
    const { body } = await start(backup)
    await count.reached
    const { status, body: run } = await api.ask('GET', body.address)
    expect(status).toBe(200)
    expect(run).toMatchObject({ status: 'starting', operation: 'backup', requestedBy: 'api:all', plan: null })
    count.release()
    expect((await api.ended(body.runId)).status).toBe('succeeded')
  })

  test('that a guard of the machine refused, so that it has no row, is told with the reason', async () => {
    await api.reset.run({ ...quickReset, confirm: 'production' }, 'typed-by-hand')
    const { body: run } = await api.ask('GET', '/v1/runs/typed-by-hand')
    expect(run).toMatchObject({ status: 'failed', operation: 'reset', finishedAt: expect.any(String) })
    expect(run.error.name).toBe('ConfirmationMismatch')
    expect(run.error.message).toContain('confirm is "production"')
    await api.reset.run({ operation: 'rest' }, 'typo')
    expect((await api.ask('GET', '/v1/runs/typo')).body.error.name).toBe('InvalidRequest')
  })

  test.runIf(isFull)(`that only repeats another one is told as that one ${inFullForm}`, async () => {
    await api.reset.run({ ...backup, idempotencyKey: 'nightly' }, 'first-night')
    await api.reset.run({ ...backup, idempotencyKey: 'nightly' }, 'first-night-again')
    const { body: run } = await api.ask('GET', '/v1/runs/first-night-again')
    expect(run).toMatchObject({ runId: 'first-night', status: 'succeeded' })
  })

  test('that there is none of is a 404', async () => {
    const { status, body } = await api.ask('GET', '/v1/runs/nobody')
    expect([status, body.title, body.instance]).toEqual([404, 'NotFound', '/v1/runs/nobody'])
  })
})

describe('an execution that never became a run', () => {
  let sfn: Awaited<ReturnType<typeof startJsonService>>
  let execution: object | undefined
  beforeAll(async () => {
    sfn = await startJsonService(async () =>
      execution === undefined
        ? { status: 400, body: { __type: 'ExecutionDoesNotExist' } }
        : { status: 200, body: execution },
    )
  })
  afterAll(() => sfn?.stop())
  // With another limit, the clients are made anew.
  const withSfn = <Result>(use: () => Promise<Result>) =>
    withVariables({ AWS_ENDPOINT_URL_SFN: sfn.url, MAX_KEYS: '1000000' }, use)
  const told = async (of: object) => {
    execution = { startDate: 1_763_838_333, input: '{}', ...of }
    return (await withSfn(() => api.ask('GET', '/v1/runs/by-hand'))).body
  }

  test('is told as Step Functions knows it, whatever was sent, and why it ended', async () => {
    const input = JSON.stringify({ operation: 'reset', strategy: 'full', requestedBy: 'anna', dryRun: true })
    const began = '2025-11-22T19:05:33.000Z'
    expect(await told({ status: 'RUNNING', input })).toMatchObject({
      ...{ runId: 'by-hand', operation: 'reset', strategy: 'full', requestedBy: 'anna', dryRun: true },
      ...{ status: 'starting', startedAt: began, heartbeatAt: began, finishedAt: null, error: null },
      ...{ phase: null, backupId: null, plan: null, outcome: null, cancellable: false, progress: {} },
    })
    const stopped = await told({ status: 'ABORTED', stopDate: 1_763_838_400, input: '["no request"]' })
    const ended = '2025-11-22T19:06:40.000Z'
    expect(stopped).toMatchObject({
      ...{ operation: 'unknown', strategy: null, requestedBy: null, dryRun: false },
      ...{ status: 'failed', finishedAt: ended, heartbeatAt: ended },
      error: { name: 'Execution ABORTED', message: 'The execution ended ABORTED without a cause' },
    })
    const byHand = { status: 'ABORTED', error: 'Stopped', cause: 'by anna, by mistake' }
    expect((await told(byHand)).error).toEqual({ name: 'Stopped', message: 'by anna, by mistake' })
    const odd = JSON.stringify({ operation: 7, strategy: ['full'], dryRun: 'yes' })
    expect(await told({ status: 'FAILED', input: odd })).toMatchObject({
      ...{ operation: 'unknown', strategy: null, dryRun: false, status: 'failed' },
    })
  })

  test.runIf(isFull)(
    `and of which nothing is known any more asks for the greater scope: what it would do, it may do ${inFullForm}`,
    async () => {
      const { backupId } = await api.follow({ ...backup })
      const verify = holdBefore('Verify batch')
      const { runId, address } = (await start({ operation: 'verify', backupId })).body
      await verify.reached
      const { admin } = api.reset.stack
      await admin.query('UPDATE taskmaster_reset.runs SET plan = NULL WHERE run_id = $1', [runId])
      execution = undefined
      const refused = await withSfn(() => api.ask('POST', `${address}/cancel`, { as: 'read' }))
      verify.release()
      expect([refused.status, refused.body.requiredScope]).toEqual([403, 'backup'])
      await api.reset.machine.ended(runId)
    },
  )
})

test('runs are listed newest first, in pages that join without a gap', async () => {
  for (let i = 0; i < 3; i++) await api.follow({ ...backup, dryRun: true })
  const all = (await api.ask('GET', '/v1/runs?limit=200')).body
  expect(all.next).toBeNull()
  const times = all.runs.map(({ startedAt }: { startedAt: string }) => startedAt)
  expect(times).toEqual(times.toSorted().reverse())
  const first = (await api.ask('GET', '/v1/runs?limit=2')).body
  const rest = (await api.ask('GET', `/v1/runs?limit=200&before=${first.next}`)).body
  expect(first.runs).toHaveLength(2)
  expect([...first.runs, ...rest.runs]).toEqual(all.runs)
  const wrong = await api.ask('GET', '/v1/runs?limit=0')
  expect([wrong.status, wrong.body.issues[0].path]).toEqual([400, 'limit'])
  const unknown = await api.ask('GET', '/v1/runs?before=nobody')
  expect([unknown.status, unknown.body.title]).toEqual([400, 'InvalidRequest'])
  expect(unknown.body.detail).toContain('nobody')
})

describe('an answer stays below the 6 MB that Lambda takes', () => {
  const lambdaBytes = 6 * 1024 * 1024
  /** Bytes of the answer as Lambda hands it to the gateway. */
  async function bytesOf(path: string): Promise<number> {
    const [rawPath, rawQueryString = ''] = path.split('?')
    const answer = await api.invoke({
      rawPath,
      rawQueryString,
      headers: { authorization: `Bearer ${tokenOf('all')}` },
      requestContext: { http: { method: 'GET' } },
    })
    expect(answer.statusCode).toBe(200)
    return Buffer.byteLength(JSON.stringify(answer))
  }
  /** Puts runs into the ledger that are over, and wiped so many tables each. */
  async function pretend(runs: number, tables: number): Promise<void> {
    await api.reset.stack.admin.query(
      `INSERT INTO taskmaster_reset.runs (run_id, operation, strategy, request_digest, status, phase, outcome, started_at, finished_at)
       SELECT $4 || '-' || n, 'reset', 'full', '', 'succeeded', 'Finish', $3::jsonb || jsonb_build_object('runId', $4 || '-' || n,
         'targets', jsonb_build_object('database', jsonb_build_object('state', 'wiped', 'rows', 7, 'tables',
           (SELECT jsonb_object_agg('public.a_table_with_quite_a_long_name_' || t, 12345) FROM generate_series(1, $2) AS t)),
         'files', '{"state": "untouched", "objects": 0, "bytes": 0}'::jsonb, 'cache', '{"state": "untouched", "keys": 0}'::jsonb)),
         '2020-01-01'::timestamptz + n * interval '1 minute', '2020-01-02'
       FROM generate_series(1, $1::int) AS n`,
      [
        runs,
        tables,
        JSON.stringify({
          operation: 'reset',
          strategy: 'full',
          status: 'succeeded',
          backupId: null,
          backupPrefix: null,
          warnings: [],
          error: null,
          startedAt: '2020-01-01T00:00:00.000Z',
          finishedAt: '2020-01-02T00:00:00.000Z',
        }),
        `of-${tables}`,
      ],
    )
  }
  afterAll(() => api.reset.stack.admin.query(`DELETE FROM taskmaster_reset.runs WHERE run_id LIKE 'of-%'`))

  test.runIf(isFull)(
    `with 200 runs of a thousand tables each, in pages that the header Link joins without a gap ${inFullForm}`,
    async () => {
      await pretend(200, 1000)
      const ids: string[] = []
      for (let path: string | undefined = '/v1/runs?limit=200'; path !== undefined; ) {
        expect(await bytesOf(path)).toBeLessThan(lambdaBytes)
        const { headers, body } = await api.ask('GET', path)
        ids.push(...body.runs.map(({ runId }: { runId: string }) => runId))
        const [, next] = /^<(.+)>; rel="next"$/.exec(headers.get('link') ?? '') ?? []
        expect(next !== undefined).toBe(body.next !== null)
        path = next
      }
      const { rows } = await api.reset.stack.admin.query(
        'SELECT run_id FROM taskmaster_reset.runs ORDER BY started_at DESC, run_id DESC',
      )
      expect(ids).toEqual(rows.map(({ run_id }) => run_id))
      expect(rows.length).toBeGreaterThan(200)
    },
  )

  test.runIf(isFull)(
    'with a run of a hundred thousand tables, which is told with its sums, and that its lists are cut (full form)',
    async () => {
      await pretend(1, 100_000)
      for (const path of ['/v1/runs/of-100000-1', '/v1/runs?limit=200'])
        expect(await bytesOf(path)).toBeLessThan(lambdaBytes)
      const { body } = await api.ask('GET', '/v1/runs/of-100000-1')
      expect(body).toMatchObject({ abridged: true, outcome: { targets: { database: { rows: 7 } } } })
      expect(Object.keys(body.outcome.targets.database.tables).length).toBeLessThan(100_000)
    },
  )
})

test.runIf(isFull)(
  `a run that has not changed since is not sent again: its ETag says so ${inFullForm}`,
  async () => {
    const seal = holdBefore('Seal')
    const { body: run, headers } = await start(backup).then(({ body }) => api.ask('GET', body.address))
    seal.release()
    await api.ended(run.runId)
    const etag = headers.get('etag') ?? ''
    expect(etag).toMatch(/^"[\w-]{22}"$/)
    expect([headers.get('cache-control'), headers.get('vary')]).toEqual([
      'private, no-cache',
      'authorization',
    ])
    const ask = (path: string, name: string) => api.ask('GET', path, { headers: { 'if-none-match': name } })
    const path = `/v1/runs/${run.runId}`
    const ended = await ask(path, etag)
    expect([ended.status, ended.body.status]).toEqual([200, 'succeeded'])
    for (const one of [path, '/v1/runs?limit=2', '/v1/backups']) {
      const now = (await api.ask('GET', one)).headers.get('etag') ?? ''
      for (const name of [now, `W/${now}`, `"other", ${now}`, '*']) {
        const { status, headers, body } = await ask(one, name)
        expect([one, status, body, headers.get('etag')]).toEqual([one, 304, '', now])
        expect(headers.get('x-content-type-options')).toBe('nosniff')
      }
      expect((await ask(one, '"other"')).status).toBe(200)
    }
    // What is refused has nothing that could be kept.
    const none = await ask('/v1/runs/nobody', '*')
    expect([none.status, none.headers.get('etag'), none.headers.get('cache-control')]).toEqual([
      404,
      null,
      'no-store',
    ])
  },
)

describe('an Idempotency-Key', () => {
  test.runIf(isFull)(
    `whose run is dead is answered with that run, which is told as abandoned and holds the lock no more ${inFullForm}`,
    async () => {
      const first = await start(backup, keyed('dead'))
      await api.ended(first.body.runId)
      await api.reset.stack.admin.query(
        `UPDATE taskmaster_reset.runs SET status = 'running', outcome = NULL, finished_at = NULL,
         heartbeat_at = now() - interval '21 minutes' WHERE run_id = $1`,
        [first.body.runId],
      )
      const again = await start(backup, keyed('dead'))
      expect([again.status, again.body.runId]).toEqual([202, first.body.runId])
      const { body } = await api.ask('GET', `/v1/runs/${first.body.runId}`)
      expect(body).toMatchObject({ status: 'abandoned', error: { name: 'RunLost' } })
      expect((await api.follow(backup)).status).toBe('succeeded')
    },
  )

  test('that comes in several times at once starts one run, and gives it again when it is over', async () => {
    const before = await api.executions()
    const answers = await Promise.all(Array.from({ length: 5 }, () => start(backup, keyed('at-once'))))
    expect(answers.map(({ status }) => status)).toEqual([202, 202, 202, 202, 202])
    const ids = new Set(answers.map(({ body }) => body.runId))
    expect(ids.size).toBe(1)
    await api.ended(answers[0]?.body.runId)
    // The same request said otherwise: defaults spelled out, keys in another order.
    const again = await start(
      { dryRun: false, strategy: 'cache-only', operation: 'backup' },
      keyed('at-once'),
    )
    expect(again.body).toEqual(answers[0]?.body)
    expect(again.headers.get('idempotency-replayed')).toBe('true')
    expect(await api.executions()).toHaveLength(before.length + 1)
  })

  test.runIf(isFull)(
    `of another request is a conflict, while the first one runs and afterwards ${inFullForm}`,
    async () => {
      const count = holdBefore('Count')
      const first = await start(backup, keyed('two-meanings'))
      await count.reached
      const other = { ...backup, strategy: 'files-only' }
      const during = await start(other, keyed('two-meanings'))
      count.release()
      await api.ended(first.body.runId)
      const afterwards = await start(other, keyed('two-meanings'))
      for (const { status, body } of [during, afterwards]) {
        expect([status, body.title]).toEqual([422, 'IdempotencyConflict'])
        expect(body.detail).toContain(first.body.runId)
      }
    },
  )

  test.each([
    { operation: 'restore', backupId: 'b', targets: ['files'], without: ['public.gone'] },
    { operation: 'compact' },
  ])(
    'of a run whose request would be refused by now is a conflict: the new one is not blamed for it',
    async (accepted) => {
      const count = holdBefore('Count')
      const key = `earlier-${accepted.operation}`
      const name = `api-${createHash('sha256').update(`all\n${key}`).digest('hex').slice(0, 40)}`
      const first = api.reset.run(accepted, name)
      await count.reached
      const { status, body } = await start(backup, keyed(key))
      count.release()
      expect((await first).error).toBe('InvalidRequest')
      expect([status, body.title]).toEqual([422, 'IdempotencyConflict'])
      expect(body.detail).toContain(name)
    },
  )

  test.runIf(isFull)(`is the token's own ${inFullForm}`, async () => {
    const one = await start({ ...backup, dryRun: true }, { ...keyed('shared'), as: 'all' })
    await api.ended(one.body.runId)
    const other = await start({ ...backup, dryRun: true }, { ...keyed('shared'), as: 'backup' })
    expect(other.body.runId).not.toBe(one.body.runId)
    expect((await api.ended(other.body.runId)).requestedBy).toBe('api:backup')
  })

  test.runIf(isFull)(`is not used up by a run that the machine refused ${inFullForm}`, async () => {
    const { admin } = api.reset.stack
    const setProtected = (value: boolean) =>
      admin.query('UPDATE taskmaster_reset.environment SET protected = $1', [value])
    beforeTask = async (state) => void (state === 'Count' && (await setProtected(true)))
    const wanted = { ...quickReset, strategy: 'cache-only' }
    const first = await start(wanted, keyed('again'))
    expect((await api.ended(first.body.runId)).error.name).toBe('EnvironmentProtected')
    beforeTask = () => {}
    await setProtected(false)
    const second = await start(wanted, keyed('again'))
    expect((await api.ended(second.body.runId)).status).toBe('succeeded')
    expect((await start(wanted, keyed('again'))).body.runId).toBe(second.body.runId)
  })
})

describe('while a run is active', () => {
  test('another one is refused with its id, whatever it wants, and nothing is started', async () => {
    const seal = holdBefore('Seal')
    const active = (await start(backup)).body.runId
    await seal.reached
    const before = await api.executions()
    for (const wanted of [backup, quickReset, { operation: 'claim', confirm: 'local' }]) {
      const { status, headers, body } = await start(wanted)
      expect({ status, ...body }).toMatchObject({ status: 409, title: 'RunActive', activeRunId: active })
      expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
    }
    expect(await api.executions()).toEqual(before)
    seal.release()
    await api.ended(active)
  })

  test('it can be cancelled until it wipes, with the scope that started it; nothing is wiped then', async () => {
    const before = await api.reset.fingerprint()
    const seal = holdBefore('Seal')
    const { runId, address } = (await start(quickReset)).body
    await seal.reached
    expect((await api.ask('GET', address)).body.cancellable).toBe(true)
    const none = await api.ask('POST', `${address}/cancel`, { as: 'none' })
    expect([none.status, none.body.title]).toEqual([403, 'Forbidden'])
    for (const as of ['read', 'backup', 'restore', 'delete']) {
      const { status, body } = await api.ask('POST', `${address}/cancel`, { as })
      expect([status, body.requiredScope]).toEqual([403, 'reset'])
    }
    const { status, body } = await api.ask('POST', `${address}/cancel`, { as: 'reset' })
    expect([status, body.status, body.cancellable]).toEqual([200, 'cancelled', false])
    expect(body.error.message).toContain('api:reset')
    seal.release()
    expect((await api.follow(backup)).status).toBe('succeeded')
    expect((await api.ended(runId)).status).toBe('cancelled')
    expect(await api.reset.fingerprint()).toEqual(before)
  })

  test.runIf(isFull)(`it cannot be cancelled once it wipes, nor when it is over ${inFullForm}`, async () => {
    const wipe = holdBefore('Wipe cache')
    const { runId, address } = (await start(quickReset)).body
    await wipe.reached
    const late = await api.ask('POST', `${address}/cancel`)
    wipe.release()
    expect((await api.ended(runId)).status).toBe('succeeded')
    const over = await api.ask('POST', `${address}/cancel`)
    expect([late.status, late.body.title]).toEqual([409, 'TooLateToCancel'])
    expect([over.status, over.body.title]).toEqual([409, 'RunEnded'])
    expect((await api.reset.objects('taskmaster-files', filesPrefix)).length).toBe(0)
  })

  test('it cannot be cancelled before it is in the ledger, and is told to be asked again then', async () => {
    const count = holdBefore('Count')
    const { runId, address } = (await start(backup)).body
    await count.reached
    expect((await api.ask('GET', address)).body.status).toBe('starting')
    const early = await api.ask('POST', `${address}/cancel`)
    expect([early.status, early.body.title, early.headers.get('retry-after')]).toEqual([
      409,
      'RunStarting',
      '1',
    ])
    const none = await api.ask('POST', `${address}/cancel`, { as: 'none' })
    expect(none.body.title).toBe('Forbidden')
    const seal = holdBefore('Seal')
    count.release()
    await seal.reached
    expect((await api.ask('POST', `${address}/cancel`)).status).toBe(200)
    seal.release()
    await api.ended(runId)
  })

  test.runIf(isFull)(
    `a verify that rehearses can be cancelled by who may start it, also before it is planned ${inFullForm}`,
    async () => {
      const { backupId } = await api.follow({ operation: 'backup', strategy: 'database-only' })
      const { admin } = api.reset.stack
      for (const [rehearse, as] of [
        [true, 'backup'],
        [false, 'read'],
      ] as const) {
        const load = holdBefore('Verify batch')
        const { runId, address } = (await start({ operation: 'verify', backupId, rehearse })).body
        await load.reached
        await admin.query('UPDATE taskmaster_reset.runs SET plan = NULL WHERE run_id = $1', [runId])
        const cancels = async (who: string) =>
          (await api.ask('POST', `${address}/cancel`, { as: who })).status
        if (rehearse) expect(await cancels('read')).toBe(403)
        expect(await cancels(as)).toBe(200)
        load.release()
        await api.ended(runId)
      }
    },
  )

  test('one that there is none of cannot be cancelled', async () => {
    const { status, body } = await api.ask('POST', '/v1/runs/nobody/cancel')
    expect([status, body.title]).toEqual([404, 'NotFound'])
    // A token that can cancel nothing does not learn what there is, and so not which scope it would need either.
    const none = await api.ask('POST', '/v1/runs/nobody/cancel', { as: 'none' })
    expect([none.status, none.body.title]).toEqual([403, 'Forbidden'])
    expect(none.body).not.toHaveProperty('requiredScope')
    expect(none.headers.get('www-authenticate')).toMatch(/error="insufficient_scope"$/)
  })
})

describe('a request is refused, and nothing is started,', () => {
  const wrong = [
    [
      'for a backup that is not there',
      { operation: 'restore', backupId: 'gone', confirm: 'local' },
      422,
      'UnknownBackup',
    ],
    [
      'for a backup to verify that is not there',
      { operation: 'verify', backupId: 'gone' },
      422,
      'UnknownBackup',
    ],
    [
      'for the id of no backup',
      { operation: 'restore', backupId: '../x', confirm: 'local' },
      400,
      'InvalidRequest',
    ],
    [
      'to leave a table out of a restore without the database',
      { operation: 'restore', backupId: 'x', targets: ['files'], without: ['public.t'], confirm: 'local' },
      400,
      'InvalidRequest',
    ],
    ['with an unknown operation', { operation: 'rest' }, 400, 'InvalidRequest'],
    ['with an unknown key', { ...quickReset, confrim: 'local' }, 400, 'InvalidRequest'],
    ['without a strategy', { operation: 'reset', confirm: 'local' }, 400, 'InvalidRequest'],
    ['with who asks', { ...quickReset, requestedBy: 'the boss' }, 400, 'InvalidRequest'],
    ['with a key in its body', { ...quickReset, idempotencyKey: 'x' }, 400, 'InvalidRequest'],
    ['with a time of a schedule', { ...quickReset, scheduledTime: 'now' }, 400, 'InvalidRequest'],
    ['that is a list', [], 400, 'InvalidRequest'],
  ] as const
  test.each(wrong.filter(([, wanted], at) => isFull || at === 0 || 'confrim' in wanted))(
    '%s',
    async (_, wanted, status, title) => {
      const before = await api.executions()
      const { body, ...answer } = await start(wanted)
      expect([answer.status, body.title]).toEqual([status, title])
      expect(await api.executions()).toEqual(before)
    },
  )

  test('with a key that is none', async () => {
    const { status, body } = await start(backup, keyed('with a space'))
    expect([status, body.issues[0].path]).toEqual([400, 'idempotency-key'])
  })
})
