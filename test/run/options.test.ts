import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Clients } from '../../lib/clients.ts'
import { makeClients } from '../../lib/clients.ts'
import type { Config } from '../../lib/config.ts'
import { getOptions } from '../../lib/run/options.ts'
import { claimEnvironment } from '../../local/cli/claim-environment.ts'
import { open } from '../../local/cli/connect.ts'
import { type Sample, fillSample } from '../../local/sample.ts'
import { type FreshStack, freshStack } from '../support/stack.ts'

process.env.LOG_LEVEL ??= 'SILENT'
let stack: FreshStack
let sample: Sample
let clients: Clients

beforeAll(async () => {
  stack = await freshStack()
  sample = await fillSample(stack, { scale: 0.1 })
  clients = await makeClients()
})
afterAll(() => stack?.stop())

const configured = (config: Partial<Config>): Clients => ({ ...clients, config: { ...clients.config, ...config } })

/** Clients for this environment but for one address, at which nobody listens. */
async function withDown(name: string, address: string): Promise<Clients> {
  const before = process.env[name]
  process.env[name] = address
  try {
    return await makeClients()
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
    const rows = Object.fromEntries(database.tables.map(({ name, rows }) => [name.replace('public.', ''), rows]))
    expect(rows).toEqual(sample.rows)
    expect(database.tables.map(({ model }) => model).sort()).toEqual(
      ['AuditLog', 'StorySession', 'Timeline', 'TimelineEvent', 'User', 'World', 'WorldElement'],
    )
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
    const changed = configured({
      PRESERVE_TABLES: ['audit_logs'],
      PRESERVE_ROWS: { users: "role = 'admin'" },
      PRESERVE_FILES: ['pinned/'],
      EXCLUDE_TABLES: ['timeline_events'],
    })
    // Rows of users stay, so what references them may not be truncated away under them.
    const kept = { tables: [], files: ['nothing/'], keys: ['session:*', 'nothing:*'] }
    const { database, files, cache } = await getOptions(configured({ ...changed.config, PRESERVE_TABLES: [], EXCLUDE_TABLES: ['audit_logs', 'users'] }), kept)
    expect(database).toMatchObject({ available: true })
    expect(files).toMatchObject({ objects: 12, unmatched: ['nothing/'] })
    expect(cache).toMatchObject({ keys: 30, preservedKeys: 5, unmatched: ['nothing:*'] })
  })
})
