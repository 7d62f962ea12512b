import { createHash } from 'node:crypto'
import { CreateBucketCommand } from '@aws-sdk/client-s3'
import { describe, expect, test } from 'vitest'
import { backupKeys } from '../../lib/backup/layout.ts'
import { readPartLines } from '../../lib/backup/part/read.ts'
import { fenceKey } from '../../lib/cache/keys.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import {
  backupBucket,
  environment,
  filesBucket,
  filesPrefix,
  fullReset,
  quickReset,
  total,
  useResetStack,
  withVariables,
} from './reset-stack.ts'

const reset = useResetStack()
const tables = ['empty_one', 'events', 'stories', 'tickets', 'users', 'worlds'].map(
  (name) => `public.${name}`,
)
const wipeOf = (strategy: string) => ({ ...quickReset, strategy })

const filesBelowPrefix = async () => (await reset.objects(filesBucket, filesPrefix)).map(({ key }) => key)
const keysBut = async () => (await reset.stack.redis.keys('*')).filter((key) => key !== fenceKey).sort()

/** Each object that the manifest names is there, with its size and its SHA-256; and all rows are in the lines. */
async function checkObjects(backupId: string | null): Promise<void> {
  const manifest = await reset.manifestOf(backupId)
  const parts = [
    ...(manifest.database?.tables ?? []).flatMap((table) => table.parts),
    ...(manifest.cache?.parts ?? []),
    ...(manifest.files?.index ? [manifest.files.index] : []),
  ]
  for (const { key, bytes, sha256 } of parts) {
    if (key === null) continue
    const body = await reset.bytesOf(key)
    expect([body.length, createHash('sha256').update(body).digest('hex')], key).toEqual([bytes, sha256])
  }
  const storage = { s3: reset.stack.s3, name: backupBucket }
  for (const { name, rows, parts } of manifest.database?.tables ?? []) {
    let lines = 0
    for (const { key } of parts) {
      if (key !== null) for await (const line of readPartLines(storage, key)) lines += line.length > 0 ? 1 : 0
    }
    expect(lines, name).toBe(rows)
  }
}

describe('a full reset', () => {
  test('wipes what it counted and backed up, and nothing else', async () => {
    await reset.seed()
    const before = await reset.fingerprint()
    const rows = await reset.rows()
    const files = await reset.objects(filesBucket, filesPrefix)
    const outcome = await reset.succeed(fullReset, 'first-reset')

    // The outcome is what was there before.
    const { __drizzle_migrations: _, ...managed } = rows as Record<string, number>
    delete managed['public.__drizzle_migrations']
    expect(outcome).toMatchObject({
      runId: 'first-reset',
      operation: 'reset',
      strategy: 'full',
      status: 'succeeded',
      warnings: [],
      error: null,
    })
    expect(outcome.targets.database).toEqual({ state: 'wiped', rows: total(managed), tables: managed })
    const bytes = files.reduce((sum, { size }) => sum + size, 0)
    expect(outcome.targets.files).toEqual({ state: 'wiped', objects: files.length, bytes })
    expect(outcome.targets.cache).toEqual({ state: 'wiped', keys: before.cache.length - 1 })

    // What is there now, past the product.
    const after = await reset.rows()
    for (const table of tables) expect(after[table], table).toBe(0)
    expect(after['public.__drizzle_migrations']).toBe(2)
    expect(await filesBelowPrefix()).toEqual([])
    const kept = await reset.fingerprint()
    expect(kept.files).toEqual(before.files.filter((line) => !line.startsWith(filesPrefix)))
    expect(await keysBut()).toEqual(['taskmaster:environment'])
    expect(await reset.stack.redis.get('taskmaster:environment')).toBe(environment)
    const mark = JSON.parse((await reset.bytesOf('.taskmaster/environment.json', filesBucket)).toString())
    expect(mark.environment).toBe(environment)
    const row = await reset.stack.admin.query('SELECT name FROM taskmaster_reset.environment')
    expect(row.rows).toEqual([{ name: environment }])
    expect(kept.database['taskmaster_reset.environment']).toBe(
      before.database['taskmaster_reset.environment'],
    )

    // The sequences start again, also the one that no column owns; the migrations' does not.
    const next = await reset.stack.admin.query(
      `SELECT nextval('users_id_seq')::int, nextval('worlds_id_seq')::int AS world, nextval('ticket_numbers')::int AS ticket,
         nextval('__drizzle_migrations_id_seq')::int AS migration`,
    )
    expect(next.rows[0]).toEqual({ nextval: 1, world: 1, ticket: 1000, migration: 3 })

    // The ledger tells the same as the execution.
    const ledger = await reset.row('first-reset')
    expect(ledger).toMatchObject({ status: 'succeeded', backup_id: outcome.backupId, phase: 'Wipe cache' })
    expect(ledger.outcome).toEqual(outcome)
    expect(ledger.finished_at.toISOString()).toBe(outcome.finishedAt)
    expect(outcome.backupPrefix).toBe(`s3://${backupBucket}/.taskmaster/backups/${outcome.backupId}/`)

    // The backup holds what is gone.
    const manifest = await reset.manifestOf(outcome.backupId)
    expect(
      Object.fromEntries((manifest.database?.tables ?? []).map((table) => [table.name, table.rows])),
    ).toEqual(managed)
    expect(manifest).toMatchObject({
      runId: 'first-reset',
      environment,
      strategy: 'full',
      rehearsedAt: expect.any(String),
      database: { consistency: 'snapshot', rows: total(managed) },
      files: { prefix: filesPrefix, objects: files.length, bytes, vanished: 0 },
      cache: { prefix: '*', keys: before.cache.length - 1 },
      warnings: [],
    })
    expect(manifest.database?.sequences.find(({ name }) => name === 'public.ticket_numbers')).toMatchObject({
      lastValue: '1006',
      isCalled: true,
    })
    await checkObjects(outcome.backupId)
    const copies = await reset.objects(backupBucket, `.taskmaster/backups/${outcome.backupId}/files/`)
    expect(copies.map(({ size, etag }) => `${size} ${etag}`)).toEqual(
      files.map(({ size, etag }) => `${size} ${etag}`),
    )
  })

  test.runIf(isFull)(
    `twice is a reset of what came in between, with a backup of its own ${inFullForm}`,
    async () => {
      const first = await reset.succeed(quickReset)
      await reset.stack.sql.query(`INSERT INTO users (name) VALUES ('later')`)
      await reset.put(`${filesPrefix}later.txt`, 'later')
      await reset.stack.redis.set('later', 'later')
      const second = await reset.succeed(quickReset)
      expect(second.backupId).not.toBe(first.backupId)
      expect(second.targets.database).toMatchObject({ state: 'wiped', rows: 1 })
      expect(second.targets.files).toEqual({ state: 'wiped', objects: 1, bytes: 5 })
      expect(second.targets.cache).toEqual({ state: 'wiped', keys: 1 })
      await checkObjects(second.backupId)
      expect((await reset.sealed()).length).toBeGreaterThanOrEqual(2)
    },
  )

  test.runIf(isFull)(
    `of an empty environment succeeds, and its backup says that it is empty ${inFullForm}`,
    async () => {
      await reset.seed({ users: 0, files: 0, keys: 0 })
      const outcome = await reset.succeed(quickReset)
      expect(outcome.status).toBe('succeeded')
      expect(outcome.targets).toEqual({
        database: { state: 'wiped', rows: 0, tables: Object.fromEntries(tables.map((name) => [name, 0])) },
        files: { state: 'wiped', objects: 0, bytes: 0 },
        cache: { state: 'wiped', keys: 0 },
      })
      const manifest = await reset.manifestOf(outcome.backupId)
      expect(manifest.files).toEqual({ prefix: filesPrefix, objects: 0, bytes: 0, vanished: 0, index: null })
      expect(manifest.cache).toEqual({ prefix: '*', keys: 0, parts: [], exportedAt: expect.any(String) })
    },
  )

  test.runIf(isFull)(`of a database without tables succeeds ${inFullForm}`, async () => {
    await reset.seed({ users: 0, files: 0, keys: 1 })
    await reset.stack.sql.query('DROP SCHEMA public CASCADE; CREATE SCHEMA public')
    const outcome = await reset.succeed(quickReset)
    expect(outcome.targets.database).toEqual({ state: 'wiped', rows: 0, tables: {} })
    expect((await reset.manifestOf(outcome.backupId)).database).toMatchObject({ rows: 0, tables: [] })
  })
})

describe('a strategy', () => {
  const cases = [
    ['database-only', 'database'],
    ['files-only', 'files'],
    ['cache-only', 'cache'],
  ] as const

  test.each(cases.filter(([, target]) => isFull || target === 'files'))(
    '%s wipes its store and leaves the others bit for bit',
    async (strategy, target) => {
      await reset.seed()
      const before = await reset.fingerprint()
      const outcome = await reset.succeed(wipeOf(strategy))
      expect(outcome.status).toBe('succeeded')
      const after = await reset.fingerprint()
      for (const store of ['database', 'files', 'cache'] as const) {
        if (store === target) expect(after[store]).not.toEqual(before[store])
        else expect(after[store]).toEqual(before[store])
        expect(outcome.targets[store].state).toBe(store === target ? 'wiped' : 'untouched')
      }
      const manifest = await reset.manifestOf(outcome.backupId)
      for (const store of ['database', 'files', 'cache'] as const)
        expect(manifest[store] !== null).toBe(store === target)
      await checkObjects(outcome.backupId)
    },
  )

  test.runIf(isFull).each(cases)(
    `%s of an empty store says that it is wiped ${inFullForm}`,
    async (strategy, target) => {
      await reset.seed({ users: 0, files: 0, keys: 0 })
      const outcome = await reset.succeed(wipeOf(strategy))
      expect(outcome).toMatchObject({ status: 'succeeded', targets: { [target]: { state: 'wiped' } } })
    },
  )
})

describe('what is preserved', () => {
  test('by the request stays bit for bit, and is in the backup all the same', async () => {
    await reset.seed()
    const before = await reset.fingerprint()
    const outcome = await reset.succeed({
      ...quickReset,
      preserve: { tables: ['users', 'public.events'], files: ['pinned/'], keys: ['session:*'] },
    })
    expect(outcome.status).toBe('succeeded')
    const after = await reset.fingerprint()
    for (const name of ['public.users', 'public.users_id_seq', 'public.events'])
      expect(after.database[name], name).toBe(before.database[name])
    expect(await reset.rows()).toMatchObject({ 'public.worlds': 0, 'public.stories': 0, 'public.tickets': 0 })
    const pinned = before.files.filter((line) => line.includes('/pinned/'))
    expect(after.files.filter((line) => line.startsWith(filesPrefix))).toEqual(pinned)
    const kept = before.cache.filter((line) => /^(session:|taskmaster:environment)/.test(line))
    expect(after.cache).toEqual(kept)
    expect(outcome.targets).toMatchObject({
      database: { state: 'wiped', rows: 120 + 240 + 7 },
      files: { state: 'wiped', objects: 9 },
      cache: { state: 'wiped', keys: 13 },
    })
    expect(outcome.targets.database.tables).not.toHaveProperty('public.users')
    expect(await reset.manifestOf(outcome.backupId)).toMatchObject({
      database: { rows: 607 },
      files: { objects: 12 },
      cache: { keys: 16 },
      preserved: { tables: ['users', 'public.events'], files: ['pinned/'], keys: ['session:*'] },
    })
  })

  test.runIf(isFull)(`by the configuration and by the request adds up ${inFullForm}`, async () => {
    await reset.seed()
    const variables = {
      PRESERVE_TABLES: 'users',
      PRESERVE_FILES: 'pinned/story 0',
      PRESERVE_KEYS: 'session:5',
    }
    await withVariables(variables, () =>
      reset.succeed({
        ...quickReset,
        preserve: { tables: ['worlds'], files: ['pinned/story 4'], keys: ['session:10'] },
      }),
    )
    expect(await reset.rows()).toMatchObject({
      'public.users': 120,
      'public.worlds': 120,
      'public.stories': 0,
    })
    expect(await filesBelowPrefix()).toEqual([
      `${filesPrefix}pinned/story 0.txt`,
      `${filesPrefix}pinned/story 4.txt`,
    ])
    expect(await keysBut()).toEqual(['session:10', 'session:5', 'taskmaster:environment'])
  })

  test('as rows keeps the admins, and their sequence goes on', async () => {
    await reset.seed()
    const admins = 'SELECT * FROM users WHERE role = $1 ORDER BY id'
    const before = (await reset.stack.admin.query(admins, ['admin'])).rows
    expect(before).toHaveLength(3)
    const outcome = await withVariables({ PRESERVE_ROWS: `{"users":"role = 'admin'"}` }, () =>
      reset.succeed(wipeOf('database-only')),
    )
    expect((await reset.stack.admin.query('SELECT * FROM users ORDER BY id')).rows).toEqual(before)
    expect(outcome.targets.database.tables['public.users']).toBe(117)
    const { preserved } = await reset.manifestOf(outcome.backupId)
    expect(Object.values(preserved.rows)).toEqual(["role = 'admin'"])
    const added = await reset.stack.sql.query(`INSERT INTO users (name) VALUES ('new') RETURNING id`)
    expect(added.rows[0].id).toBe(121)
  })

  test.runIf(isFull)(`as an excluded table is in no backup and in no wipe ${inFullForm}`, async () => {
    await reset.seed()
    const before = await reset.fingerprint()
    const outcome = await withVariables({ EXCLUDE_TABLES: 'events' }, () =>
      reset.succeed(wipeOf('database-only')),
    )
    expect((await reset.fingerprint()).database['public.events']).toBe(before.database['public.events'])
    const manifest = await reset.manifestOf(outcome.backupId)
    expect(manifest.database?.tables.map(({ name }) => name)).not.toContain('public.events')
  })

  test.runIf(isFull)(`but matches nothing is a warning ${inFullForm}`, async () => {
    await reset.seed()
    const outcome = await reset.succeed({
      ...quickReset,
      preserve: { tables: [], files: ['no-such/'], keys: ['no-such:*'] },
    })
    expect(outcome.status).toBe('succeeded_with_warnings')
    expect(outcome.warnings).toEqual([
      { code: 'PreserveMatchedNothing', message: 'No file lies below no-such/, which was to be preserved' },
      {
        code: 'PreserveMatchedNothing',
        message: 'No cache key matches no-such:*, which was to be preserved',
      },
    ])
    expect((await reset.row(outcome.runId)).status).toBe('succeeded_with_warnings')
  })

  test.runIf(isFull)(`because another schema is not managed ${inFullForm}`, async () => {
    await reset.seed()
    await reset.stack.sql.query(
      `CREATE SCHEMA story; CREATE TABLE story.beats AS SELECT generate_series(1, 5) AS n`,
    )
    try {
      await reset.succeed(wipeOf('database-only'))
      expect(await reset.rows()).toMatchObject({ 'story.beats': 5, 'public.users': 0 })
      const outcome = await withVariables({ DATABASE_SCHEMAS: 'public,story' }, () =>
        reset.succeed(wipeOf('database-only')),
      )
      expect(outcome.targets.database.tables['story.beats']).toBe(5)
      expect((await reset.rows())['story.beats']).toBe(0)
    } finally {
      await reset.stack.sql.query('DROP SCHEMA story CASCADE')
    }
  })
})

describe('what does not wipe', () => {
  test('a dry run changes nothing, writes no backup and no work, and leaves its plan in the ledger', async () => {
    await reset.seed()
    const before = await reset.fingerprint()
    const written = await reset.objects(backupBucket)
    for (const request of [
      { ...quickReset, dryRun: true },
      { operation: 'reset', strategy: 'full', dryRun: true },
      { operation: 'reset', strategy: 'full', dryRun: true, backup: false },
      { operation: 'backup', dryRun: true },
    ]) {
      const outcome = await reset.succeed(request)
      expect(outcome).toMatchObject({ backupId: null, backupPrefix: null })
      for (const { state } of Object.values(outcome.targets)) expect(state).toBe('untouched')
      const { plan } = await reset.row(outcome.runId)
      expect(plan.dryRun).toBe(true)
      expect(plan.files).toMatchObject({ objects: 12, preservedObjects: 0 })
      expect(plan.cache).toMatchObject({ keys: 16 })
      const users = plan.database.tables.find(({ name }: { name: string }) => name === 'public.users')
      expect(users).toMatchObject({ action: 'truncate', rows: 120 })
    }
    expect(await reset.fingerprint()).toEqual(before)
    expect(await reset.objects(backupBucket)).toEqual(written)
  })

  test.runIf(isFull)(`a dry run of an environment without files says untouched ${inFullForm}`, async () => {
    await reset.seed({ users: 0, files: 0, keys: 0 })
    const outcome = await reset.succeed({ ...quickReset, dryRun: true })
    for (const { state } of Object.values(outcome.targets)) expect(state).toBe('untouched')
  })

  test.runIf(isFull)(`a backup changes nothing, and its counts are what is there ${inFullForm}`, async () => {
    await reset.seed()
    const before = await reset.fingerprint()
    const outcome = await reset.succeed({ operation: 'backup' })
    expect(await reset.fingerprint()).toEqual(before)
    expect(outcome.targets).toMatchObject({
      database: { state: 'backed_up', rows: 607 },
      files: { state: 'backed_up', objects: 12 },
      cache: { state: 'backed_up', keys: 16 },
    })
    await checkObjects(outcome.backupId)
  })

  test.runIf(isFull)(
    `large objects are in no backup and stay, as a warning says, for a reset and a restore as well ${inFullForm}`,
    async () => {
      await reset.seed({ users: 3, files: 0, keys: 0 })
      const { sql } = reset.stack
      const { oid } = (await sql.query(`SELECT lo_from_bytea(0, 'kept as it is') AS oid`)).rows[0]
      const request = { strategy: 'database-only', confirm: environment }
      const warned = {
        status: 'succeeded_with_warnings',
        warnings: [
          {
            code: 'LargeObjectsLeftOut',
            message: expect.stringMatching(
              /^The database has large objects \(1\): they are neither backed up nor wiped nor restored/,
            ),
          },
        ],
      }
      const outcome = await reset.succeed({ ...quickReset, ...request })
      expect(outcome).toMatchObject(warned)
      const { backupId } = outcome
      expect(await reset.succeed({ operation: 'restore', backupId, confirm: environment })).toMatchObject(
        warned,
      )
      const held = await sql.query(`SELECT convert_from(lo_get($1), 'UTF8') AS text, lo_unlink($1)`, [oid])
      expect(held.rows[0].text).toBe('kept as it is')
    },
  )

  test('a backup of one store says that the others are untouched', async () => {
    const outcome = await reset.succeed({ operation: 'backup', strategy: 'cache-only' })
    const { database, files, cache } = outcome.targets
    expect([database.state, files.state, cache.state]).toEqual(['untouched', 'untouched', 'backed_up'])
  })
})

describe('a reset that was told "backup": false', () => {
  test('wipes, writes no backup, and warns that it cannot come back', async () => {
    await reset.seed()
    const sealed = await reset.sealed()
    const outcome = await reset.succeed({ ...quickReset, backup: false })
    expect(outcome).toMatchObject({
      status: 'succeeded_with_warnings',
      backupId: null,
      backupPrefix: null,
      warnings: [{ code: 'NoBackup' }],
      targets: {
        database: { state: 'wiped', rows: 607 },
        files: { state: 'wiped', objects: 12 },
        cache: { state: 'wiped', keys: 16 },
      },
    })
    expect(await reset.sealed()).toEqual(sealed)
    expect(total(await reset.rows())).toBe(2)
    expect(await filesBelowPrefix()).toEqual([])
    expect(await keysBut()).toEqual(['taskmaster:environment'])
  })
})

describe('the backups', () => {
  test.runIf(isFull)(
    `may lie in the bucket of the files, and are then neither backed up nor wiped ${inFullForm}`,
    async () => {
      await reset.seed()
      const outcome = await withVariables({ BACKUP_BUCKET: filesBucket }, async () => {
        await reset.succeed(quickReset)
        return reset.succeed(quickReset)
      })
      expect(outcome.targets.files).toEqual({ state: 'wiped', objects: 0, bytes: 0 })
      const kept = await reset.objects(filesBucket, '.taskmaster/backups/')
      expect(kept.filter(({ key }) => key.endsWith('/manifest.json'))).toHaveLength(2)
      await reset.remove(
        filesBucket,
        kept.map(({ key }) => key),
      )
    },
  )

  test.runIf(isFull)(
    `whose list of files is gone put back rows and keys, when those are asked for ${inFullForm}`,
    async () => {
      await reset.seed()
      const { backupId } = await reset.succeed({ ...fullReset, rehearse: false })
      const index = backupKeys('.taskmaster/backups/', backupId ?? '').filesIndex()
      const restore = { operation: 'restore', backupId, confirm: environment, rehearse: false } as const
      const before = await reset.fingerprint()
      await reset.remove(backupBucket, [index])
      const refused = await reset.run(restore)
      expect(refused).toMatchObject({ status: 'FAILED', error: 'BackupDamaged' })
      expect(refused.cause).toContain('"targets": ["database", "cache"]')
      expect(await reset.fingerprint()).toEqual(before)
      const { targets } = await reset.succeed({ ...restore, targets: ['database', 'cache'] })
      expect(targets).toMatchObject({ database: { state: 'restored' }, cache: { state: 'restored' } })
    },
  )

  test.runIf(isFull)(
    `may lie below another prefix, and the cache below one of its own ${inFullForm}`,
    async () => {
      await reset.seed()
      await reset.stack.s3.send(new CreateBucketCommand({ Bucket: 'other-backups' }))
      const outcome = await withVariables(
        { BACKUP_BUCKET: 'other-backups', BACKUP_PREFIX: 'safe/', CACHE_PREFIX: 'page:' },
        () => reset.succeed(quickReset),
      )
      expect(outcome.backupPrefix).toBe(`s3://other-backups/safe/${outcome.backupId}/`)
      expect(outcome.targets.cache).toEqual({ state: 'wiped', keys: 12 })
      expect(await keysBut()).toEqual([
        'hash',
        'session:0',
        'session:10',
        'session:5',
        'taskmaster:environment',
      ])
    },
  )
})
