import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Clients } from '../../lib/clients.ts'
import { makeClients } from '../../lib/clients.ts'
import type { Config } from '../../lib/config.ts'
import { getOptions, type ResetOptions } from '../../lib/run/options.ts'
import type { TableOption } from '../../lib/run/options-tables.ts'
import { claimEnvironment } from '../../local/cli/claim-environment.ts'
import { open } from '../../local/cli/connect.ts'
import { fillSample, type Sample } from '../../local/sample.ts'
import { type FreshStack, freshStack } from '../support/stack.ts'

process.env.LOG_LEVEL ??= 'SILENT'
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
async function optionsWithDown(name: string, address: string): Promise<ResetOptions> {
  const before = process.env[name]
  process.env[name] = address
  try {
    return await getOptions(await makeClients())
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
    expect(rows).toEqual(sample.rows)
    expect(database.tables.map(({ model }) => model).sort()).toEqual([
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
    expect(files).toMatchObject({ objects: sample.objects, bytes: sample.bytes, preservedObjects: 0 })
    expect(cache).toMatchObject({ keys: sample.keys, preservedKeys: 0 })
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
  test.each([
    ['database', 'DATABASE_WEBSOCKET_PROXY', '127.0.0.1:1'],
    ['files', 'AWS_ENDPOINT_URL_S3', 'http://127.0.0.1:1'],
    ['cache', 'UPSTASH_REDIS_REST_URL', 'http://127.0.0.1:1'],
  ] as const)('the %s is told with its reason, and the others are counted', async (down, name, address) => {
    const options = await optionsWithDown(name, address)
    expect(options.claimed).toBe(false)
    for (const store of ['database', 'files', 'cache'] as const) {
      if (store !== down) expect(options[store]).toMatchObject({ available: true })
      else {
        expect(options[store]).toMatchObject({ available: false, reason: { name: 'StoreUnavailable' } })
        expect(JSON.stringify(options[store])).not.toContain(new URL(stack.env.DATABASE_URL ?? '').password)
      }
    }
  })
})

function tableOf({ database }: Pick<ResetOptions, 'database'>, table: string): TableOption | undefined {
  if (!database.available) throw new Error(database.reason.message)
  return database.tables.find(({ name }) => name === `public.${table}`)
}
