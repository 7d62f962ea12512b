import { createServer, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { countCache } from '../../lib/cache/count.ts'
import type { Clients } from '../../lib/clients.ts'
import { makeClients } from '../../lib/clients.ts'
import type { Config } from '../../lib/config/variables.ts'
import type { TableOption } from '../../lib/database/schema/option.ts'
import { countFiles } from '../../lib/files/list.ts'
import { countAll } from '../../lib/run/count.ts'
import { getOptions, quickly, type ResetOptions } from '../../lib/run/options.ts'
import type { Limits } from '../../lib/store.ts'
import { open } from '../../local/cli/connect.ts'
import { claimEnvironment } from '../../local/cli/run/claim-environment.ts'
import { close, listen } from '../../local/loopback.ts'
import { fillSample, type Sample } from '../../local/sample.ts'
import { type FreshStack, freshStack } from '../support/stack.ts'
import { inFullForm, isFull } from '../support/trust.ts'

let stack: FreshStack
let sample: Sample
let clients: Clients

beforeAll(async () => {
  stack = await freshStack()
  sample = await fillSample(stack, { scale: 0.3 })
  clients = await makeClients()
})
afterAll(() => stack?.stop())

const configured = (config: Partial<Config>): Clients => ({
  ...clients,
  config: { ...clients.config, ...config },
})

/** The options where one address of the environment is one at which nobody listens. */
async function optionsWithDown(name: string, address: string, limits?: Limits): Promise<ResetOptions> {
  const before = process.env[name]
  process.env[name] = address
  try {
    return await getOptions(await makeClients(), undefined, limits)
  } finally {
    process.env[name] = before
  }
}

describe('the options', () => {
  test('say store by store that nobody claimed them, and create nothing by asking', async () => {
    const options = await getOptions(clients)
    expect(options).toMatchObject({
      environment: 'local',
      claimed: false,
      protected: false,
      database: { available: true, mark: null },
      files: { available: true, mark: null },
      cache: { available: true, mark: null },
    })
    const schemas = await stack.sql.query(`SELECT FROM pg_namespace WHERE nspname = 'taskmaster_reset'`)
    expect(schemas.rowCount).toBe(0)
    const connected = await open(undefined)
    await claimEnvironment(connected)
    await connected.stop()
    expect(await getOptions(clients)).toMatchObject({ claimed: true, database: { mark: 'local' } })
  })

  test('count every table, the files and the keys exactly, and give the models by their names', async () => {
    const { database, files, cache } = await getOptions(clients)
    if (!database.available) throw new Error(database.reason.message)
    const rows = Object.fromEntries(
      database.tables.map(({ name, rows }) => [name.replace('public.', ''), rows]),
    )
    expect(rows).toEqual(sample.database.rows)
    expect(database.tables.map(({ label }) => label).sort()).toEqual([
      'AuditLog',
      'StorySession',
      'Timeline',
      'TimelineEvent',
      'User',
      'World',
      'WorldElement',
    ])
    expect(database.tables.every(({ action, keptRows }) => action === 'wiped' && keptRows === 0)).toBe(true)
    expect(database.problem).toBeNull()
    expect(files).toMatchObject({
      objects: sample.files.objects,
      bytes: sample.files.bytes,
      preservedObjects: 0,
    })
    expect(cache).toMatchObject({ keys: sample.cache.keys, preservedKeys: 0 })
  })

  test('say of each strategy what it clears and what it preserves', async () => {
    const { strategies } = await getOptions(clients)
    expect(strategies.map(({ name, clears, preserves }) => ({ name, clears, preserves }))).toEqual([
      { name: 'full', clears: ['database', 'files', 'cache'], preserves: [] },
      { name: 'database-only', clears: ['database'], preserves: ['files', 'cache'] },
      { name: 'files-only', clears: ['files'], preserves: ['database', 'cache'] },
      { name: 'cache-only', clears: ['cache'], preserves: ['database', 'files'] },
    ])
    expect(strategies[2]?.description).toBe(
      'Clears the files below s3://taskmaster-files/generated_stories/. Preserves the tables of public and all cache keys.',
    )
  })

  test('show what the configuration and the request preserve, and what they name in vain', async () => {
    const preserving = configured({
      PRESERVE_ROWS: { users: "role = 'admin'" },
      PRESERVE_FILES: ['pinned/'],
    })
    const request = { tables: [], files: ['nothing/'], keys: ['session:*', 'nothing:*'] }
    const { database, files, cache } = await getOptions(preserving, request)
    expect(tableOf({ database }, 'users')).toMatchObject({ action: 'keeps some rows', keptRows: 2 })
    expect(files).toMatchObject({ objects: 36, preservedObjects: 1, unmatched: ['nothing/'] })
    expect(cache).toMatchObject({ keys: 90, preservedKeys: 15, unmatched: ['nothing:*'] })
  })

  test('show of each table whether it is wiped, kept, or keeps some rows, and why one is not managed', async () => {
    await stack.sql.query('CREATE TABLE __drizzle_migrations (id int)')
    const rows = await getOptions(configured({ PRESERVE_ROWS: { users: "role = 'admin'" } }))
    expect(rows.database).toMatchObject({ problem: null })
    expect(tableOf(rows, 'users')).toMatchObject({
      action: 'keeps some rows',
      rows: 60,
      keptRows: 2,
      keepRows: "role = 'admin'",
    })
    expect(tableOf(rows, 'worlds')).toMatchObject({ action: 'wiped', keptRows: 0 })
    const whole = await getOptions(clients, { tables: ['public.users'], files: [], keys: [] })
    expect(tableOf(whole, 'users')).toMatchObject({ action: 'kept', rows: 60, keptRows: 60 })
    expect(whole.database).toMatchObject({
      unmanaged: [{ name: 'public.__drizzle_migrations', reason: 'keeps the migrations' }],
    })
  })
})

describe('a plan that would be refused', () => {
  test.each([
    ['a conflict', { PRESERVE_TABLES: ['worlds'] }, 'PreservationConflict'],
    ['a table that does not exist', { PRESERVE_TABLES: ['wolrds'] }, 'InvalidRequest'],
    ['a condition that is no SQL', { PRESERVE_ROWS: { users: 'role ==== admin' } }, 'InvalidConfiguration'],
  ])(
    'because of %s is told with its reason, and the tables are counted all the same',
    async (_says, config, name) => {
      const options = await getOptions(configured(config))
      expect(options.database).toMatchObject({ available: true, problem: { name } })
      expect(tableOf(options, 'users')?.rows).toBe(60)
    },
  )

  test('because the role may not read a table is told, and that table has no count', async () => {
    await stack.admin.query('CREATE TABLE public.secrets (id int); REVOKE ALL ON public.secrets FROM PUBLIC')
    try {
      const options = await getOptions(clients)
      expect(options.database).toMatchObject({ available: true, problem: { name: 'NotPermitted' } })
      expect(tableOf(options, 'secrets')).toMatchObject({ rows: null })
      expect(tableOf(options, 'users')).toMatchObject({ rows: 60, action: 'wiped' })
    } finally {
      await stack.admin.query('DROP TABLE public.secrets')
    }
  })
})

describe('a store that is down', () => {
  const unreachable = [
    ['database', 'DATABASE_WEBSOCKET_PROXY', '127.0.0.1:1'],
    ['files', 'AWS_ENDPOINT_URL_S3', 'http://127.0.0.1:1'],
    ['cache', 'UPSTASH_REDIS_REST_URL', 'http://127.0.0.1:1'],
  ] as const
  test.each(unreachable.slice(0, isFull ? undefined : 1))(
    'the %s is told with its reason, and the others are counted',
    async (down, name, address) => {
      const options = await optionsWithDown(name, address)
      expect(options.claimed).toBe(false)
      for (const store of ['database', 'files', 'cache'] as const) {
        if (store !== down) expect(options[store]).toMatchObject({ available: true })
        else {
          expect(options[store]).toMatchObject({ available: false, reason: { name: 'StoreUnavailable' } })
          expect(JSON.stringify(options[store])).not.toContain(new URL(stack.env.DATABASE_URL ?? '').password)
        }
      }
    },
  )
})

describe('with limits, of which each store has its own, side by side', () => {
  const none = { tables: [], files: [], keys: [] }
  /** What is counted in time is not what a slow machine says, where that is not asked for. */
  const patiently = { ...quickly, storeMs: 120_000, countMs: 60_000 }
  const withLimits = (limits: Partial<Limits>, from = clients) =>
    getOptions(from, none, { ...patiently, ...limits })

  test('all is counted exactly while it is small', async () => {
    const options = await withLimits({})
    expect(options).toEqual(await getOptions(clients))
    expect(options).toMatchObject({
      database: { estimated: false },
      files: { approximate: false },
      cache: { approximate: false },
    })
    expect(tableOf(options, 'users')).toMatchObject({ rows: 60, estimated: false, label: 'User' })
  })

  test('the large tables are estimated, the others counted', async () => {
    await stack.sql.query(`
      CREATE TABLE analyzed AS SELECT i, i % 10 AS digit FROM generate_series(1, 50000) i;
      ANALYZE analyzed;
      CREATE TABLE fresh AS SELECT i FROM generate_series(1, 50000) i`)
    try {
      const preserving = configured({ PRESERVE_ROWS: { analyzed: 'digit = 3' } })
      const options = await withLimits({ bytes: 2 ** 20 }, preserving)
      expect(options.database).toMatchObject({ estimated: true, problem: null })
      const analyzed = tableOf(options, 'analyzed')
      expect(analyzed).toMatchObject({ estimated: true, action: 'keeps some rows' })
      expect(Math.abs((analyzed?.rows ?? 0) - 50_000)).toBeLessThan(500)
      expect(Math.abs((analyzed?.keptRows ?? 0) - 5_000)).toBeLessThan(1_000)
      const fresh = tableOf(options, 'fresh')
      expect(fresh).toMatchObject({ estimated: true })
      expect(fresh?.rows).toBeGreaterThan(20_000)
      expect(fresh?.rows).toBeLessThan(100_000)
      expect(tableOf(options, 'users')).toMatchObject({ rows: 60, estimated: false })
      const wrong = configured({ PRESERVE_ROWS: { analyzed: 'digt = 3' } })
      const told = await withLimits({ bytes: 2 ** 20 }, wrong)
      expect(told.database).toMatchObject({ problem: { name: 'InvalidConfiguration' } })
      expect(tableOf(told, 'analyzed')).toMatchObject({ estimated: true })
    } finally {
      await stack.sql.query('DROP TABLE analyzed, fresh')
    }
  })

  test('tables are counted, the small ones first, while they have no more bytes together than that', async () => {
    const names = ['one', 'two', 'three', 'four']
    await stack.sql.query(
      names.map((name) => `CREATE TABLE ${name} AS SELECT i FROM generate_series(1, 50000) i`).join(';'),
    )
    try {
      const [{ bytes }] = (await stack.sql.query(`SELECT pg_table_size('one')::int AS bytes`)).rows
      // What the others take beside two of them is less than another one.
      const options = await withLimits({ bytes: 3 * bytes - 1 })
      const estimated = names.map((name) => tableOf(options, name)?.estimated)
      expect(estimated.filter((one) => one === false).length).toBeGreaterThan(0)
      expect(estimated.filter((one) => one === true).length).toBeGreaterThan(1)
      expect(tableOf(options, 'users')).toMatchObject({ rows: 60, estimated: false })
    } finally {
      await stack.sql.query(`DROP TABLE ${names.join(', ')}`)
    }
  })

  test('what takes too long to count is estimated, however small it is', async () => {
    await stack.sql.query(`CREATE FUNCTION slowly(text) RETURNS boolean LANGUAGE plpgsql VOLATILE COST 1
      AS 'BEGIN PERFORM pg_sleep(0.05); RETURN true; END'`)
    try {
      const slow = configured({ PRESERVE_ROWS: { users: 'public.slowly(role)' } })
      const options = await withLimits({ countMs: 800 }, slow)
      expect(tableOf(options, 'users')).toMatchObject({ estimated: true })
      expect(options.database).toMatchObject({ available: true, estimated: true, problem: null })
    } finally {
      await stack.sql.query('DROP FUNCTION slowly')
    }
  })

  test('files and keys are counted up to a number, which is then a least one', async () => {
    const { files, cache } = await withLimits({ objects: 10, keys: 10 }, configured({ CACHE_PREFIX: 's' }))
    expect(files).toMatchObject({ available: true, objects: 10, approximate: true, unmatched: [] })
    expect(cache).toMatchObject({ available: true, keys: 10, approximate: true, unmatched: [] })
  })

  test('counting ends with what is known when its time is over', async () => {
    const over = { preserve: ['nothing'], signal: AbortSignal.abort() }
    expect(await countFiles(clients, over)).toMatchObject({ complete: false, unmatched: [] })
    expect(await countCache(clients, over)).toMatchObject({ complete: false, unmatched: [] })
  })

  test.runIf(isFull)(
    `a database whose tables are locked is told as busy, and the others are counted ${inFullForm}`,
    async () => {
      await stack.admin.query('BEGIN; LOCK TABLE public.users IN ACCESS EXCLUSIVE MODE')
      try {
        const countMs = 5_000
        const started = performance.now()
        const options = await withLimits({ countMs })
        // A lock is waited for once, and not for each thing that is asked.
        expect(performance.now() - started).toBeLessThan(2 * 0.8 * countMs)
        expect(options.database).toMatchObject({ available: false, reason: { name: 'DatabaseBusy' } })
        expect(options).toMatchObject({
          files: { objects: sample.files.objects, approximate: false },
          cache: { keys: sample.cache.keys },
        })
      } finally {
        await stack.admin.query('COMMIT')
      }
    },
  )

  test('a count is given less time than its store, and each store less than two seconds', () => {
    expect([quickly.countMs < quickly.storeMs, quickly.storeMs < 2_000]).toEqual([true, true])
  })

  /** The time of the store that hangs is over when the others have answered, and not before, however slow this machine is. */
  async function whenOthersAnswered<Result>(use: () => Promise<Result>): Promise<Result> {
    const { setTimeout, clearTimeout } = globalThis
    const waiting = new Map<unknown, () => void>()
    vi.stubGlobal('setTimeout', (act: () => void, milliseconds?: number, ...more: []) => {
      if (milliseconds !== quickly.storeMs) return setTimeout(act, milliseconds, ...more)
      const timer = Symbol('of a store')
      waiting.set(timer, act)
      return timer
    })
    vi.stubGlobal('clearTimeout', (timer: NodeJS.Timeout) => {
      if (!waiting.delete(timer)) return clearTimeout(timer)
      if (waiting.size === 1) for (const isOver of waiting.values()) isOver()
    })
    try {
      return await use()
    } finally {
      vi.unstubAllGlobals()
    }
  }

  const hanging = [
    ['database', 'DATABASE_WEBSOCKET_PROXY', ''],
    ['files', 'AWS_ENDPOINT_URL_S3', 'http://'],
    ['cache', 'UPSTASH_REDIS_REST_URL', 'http://'],
  ] as const
  test.each(hanging.slice(0, isFull ? undefined : 1))(
    'the %s that hangs is told as down, and the others are counted',
    async (down, name, scheme) => {
      const sockets = new Set<Socket>()
      const silent = createServer((socket) => void sockets.add(socket))
      const address = `${scheme}127.0.0.1:${await listen(silent)}`
      try {
        const options = await whenOthersAnswered(() => optionsWithDown(name, address, quickly))
        for (const store of ['database', 'files', 'cache'] as const) {
          if (store !== down) expect(options[store]).toMatchObject({ available: true })
          else {
            const message = expect.stringContaining('did not answer within 1.8 s')
            expect(options[store]).toEqual({
              available: false,
              reason: { name: 'StoreUnavailable', message },
            })
          }
        }
      } finally {
        const closed = close(silent)
        for (const socket of sockets) socket.destroy()
        await closed
      }
    },
  )
})

describe('what Count hands on to the machine', () => {
  let runs = 0
  const full = { operation: 'reset', strategy: 'full', confirm: 'local' }
  /** Counts, and ends the run. */
  async function count(request: object, config: Partial<Config> = {}) {
    const run = { runId: `counted-${++runs}`, attempt: 0 }
    const startedAt = new Date(Date.UTC(2026, 10, 22, 19, 5, runs)).toISOString()
    const counted = await countAll(configured(config), { request, startedAt, ...run })
    const close = `UPDATE taskmaster_reset.runs SET status = 'failed' WHERE run_id = $1 RETURNING plan`
    const { plan } = (await stack.sql.query(close, [run.runId])).rows[0]
    return { counted, plan, codes: plan.warnings.map(({ code }: { code: string }) => code) }
  }

  beforeAll(async () => {
    await count({ operation: 'claim', confirm: 'local' }).catch(() => {}) // a claim has no plan
  })

  test('is where it goes on, which stores go, and the batches of each by number', async () => {
    const { counted } = await count(full)
    expect(counted).toEqual({
      ...{ next: 'backup', runId: `counted-${runs}`, attempt: 0, operation: 'reset' },
      ...{ rehearse: true, reconcile: false, prunes: false },
      clears: { database: true, files: true, cache: true },
      batches: { database: [0], files: [0], cache: [0], load: [], verify: [], restoreFiles: [] },
    })
    const one = await count({ ...full, strategy: 'cache-only', backup: false })
    expect(one.codes).toEqual(['NoBackup'])
    expect(one.counted).toMatchObject({
      ...{ next: 'wipe', rehearse: false, reconcile: false },
      clears: { database: false, files: false, cache: true },
      batches: { database: [], files: [], cache: [0], load: [], verify: [], restoreFiles: [] },
    })
    const cut = await count({ operation: 'backup', rehearse: false }, { EXPORT_BATCH_BYTES: 1 })
    expect(cut.counted).toMatchObject({
      next: 'backup',
      operation: 'backup',
      rehearse: false,
      reconcile: true,
    })
    expect(cut.counted).toMatchObject({ batches: { database: expect.arrayContaining([0, 1]) } })
  })

  test('is a rehearsal of whatever is smaller than the limit, unless the request says so or not', async () => {
    const { bytes } = (await count(full)).plan.database
    const asked = [
      [bytes + 1, 'auto', true],
      [bytes, 'auto', false],
      [1, true, true],
      [bytes + 1, false, false],
    ] as const
    for (const [limit, rehearse, isRehearsed] of asked.slice(0, isFull ? undefined : 2)) {
      const { counted, codes } = await count({ ...full, rehearse }, { REHEARSE_MAX_BYTES: limit })
      expect(counted, `${limit} ${rehearse}`).toMatchObject({ rehearse: isRehearsed })
      expect(codes.includes('NotRehearsed')).toBe(limit === bytes)
    }
  })

  test('is that old backups are pruned when any retention is configured', async () => {
    for (const name of ['RETENTION_LAST', 'RETENTION_DAILY', 'RETENTION_WEEKLY'])
      expect((await count({ ...full, strategy: 'cache-only' }, { [name]: 3 })).counted).toMatchObject({
        prunes: true,
      })
  })
})

function tableOf({ database }: Pick<ResetOptions, 'database'>, table: string): TableOption | undefined {
  if (!database.available) throw new Error(database.reason.message)
  return database.tables.find(({ name }) => name === `public.${table}`)
}
