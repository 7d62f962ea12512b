import { DeleteObjectCommand } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { backupIdOf } from '../../lib/backup/layout.ts'
import { reservedPrefix } from '../../lib/cache/keys.ts'
import { loadFunctions } from '../../local/functions.ts'
import { s3Error } from '../files/s3-front.ts'
import { needsRedis } from '../support/needs.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import { useFronts } from './fronts.ts'
import {
  backupBucket,
  type Ended,
  environment,
  filesBucket,
  filesPrefix,
  fullReset,
  useResetStack,
  withVariables,
} from './reset-stack.ts'

let beforeTask: (state: string) => void = () => {}
const reset = useResetStack({ beforeTask: (state) => beforeTask(state) })
const fronts = useFronts(reset)
const databaseReset = { ...fullReset, strategy: 'database-only' }
const mark = '.taskmaster/environment.json'

beforeAll(() => reset.seed())

/** Runs a request that has to be refused, and checks that nothing at all is different afterwards. */
async function refuse(request: unknown, variables: Record<string, string | undefined> = {}): Promise<Ended> {
  const was = await reset.fingerprint()
  const sealed = await reset.sealed()
  const ended = await withVariables({ ...fronts.variables, ...variables }, () => reset.run(request))
  expect(ended.status, JSON.stringify(ended.output)).toBe('FAILED')
  expect(await reset.fingerprint()).toEqual(was)
  expect(await reset.sealed()).toEqual(sealed)
  // The lock is free again, and a run that had it says why it ended.
  const row = await reset.row(ended.name)
  if (row !== undefined) {
    expect(row.status).toBe('failed')
    expect(row.outcome.error).toEqual({ name: ended.error, message: ended.cause })
    for (const { state } of Object.values(row.outcome.targets as Record<string, { state: string }>))
      expect(state).toBe('untouched')
  }
  return ended
}

const example = 'A right request: {"operation":"reset","strategy":"full","confirm":"staging"}'
const wrong = (problem: string) => new RegExp(`^The request is wrong: .*${problem}.*\\. A right request: `)

describe('a request that is wrong is refused before any store is asked', () => {
  let was: Awaited<ReturnType<typeof reset.fingerprint>>
  beforeAll(async () => {
    was = await reset.fingerprint()
  })
  afterAll(async () => {
    beforeTask = () => {}
    expect(await reset.fingerprint()).toEqual(was)
  })

  const big = 'x'.repeat(70_000)
  const cases: [string, unknown, string, RegExp][] = [
    ['{}', {}, 'InvalidRequest', wrong("operation: .*'backup' \\| 'reset'")],
    ['null', null, 'InvalidRequest', wrong('expected object, received null')],
    ['an array', [fullReset], 'InvalidRequest', wrong('expected object, received array')],
    ['a text', 'reset', 'InvalidRequest', wrong('expected object, received string')],
    [
      'a table whose name holds a NUL',
      { operation: 'backup', dryRun: true, preserve: { tables: ['a\0b'] } },
      'InvalidRequest',
      wrong('preserve.tables.0: holds a NUL character'),
    ],
    [
      'half of a character',
      { ...fullReset, requestedBy: 'somebody 😀'.slice(0, -1) },
      'InvalidRequest',
      wrong('requestedBy: holds a NUL character, or half'),
    ],
    ['a number', 7, 'InvalidRequest', wrong('expected object, received number')],
    ['an unknown operation', { operation: 'destroy' }, 'InvalidRequest', wrong('operation: ')],
    ['an unknown key', { ...fullReset, bakcup: false }, 'InvalidRequest', wrong('"bakcup"')],
    [
      'an unknown key inside',
      { ...fullReset, preserve: { table: ['users'] } },
      'InvalidRequest',
      wrong('preserve: .*"table"'),
    ],
    ['no strategy', { operation: 'reset', confirm: environment }, 'InvalidRequest', wrong('strategy: ')],
    [
      'an unknown strategy',
      { ...fullReset, strategy: 'everything' },
      'InvalidRequest',
      wrong('strategy: .*"full"\\|"database-only"\\|"files-only"\\|"cache-only"'),
    ],
    ['"false" in place of false', { ...fullReset, backup: 'false' }, 'InvalidRequest', wrong('backup: ')],
    ['backup: null', { ...fullReset, backup: null }, 'InvalidRequest', wrong('backup: ')],
    ['a dryRun of 1', { ...fullReset, dryRun: 1 }, 'InvalidRequest', wrong('dryRun: ')],
    [
      'a table that is no text',
      { ...fullReset, preserve: { tables: [1] } },
      'InvalidRequest',
      wrong('preserve\\.tables\\.0: '),
    ],
    [
      'an empty prefix to preserve',
      { ...fullReset, preserve: { files: [''] } },
      'InvalidRequest',
      wrong('preserve\\.files\\.0: '),
    ],
    ['preserve of null', { ...fullReset, preserve: null }, 'InvalidRequest', wrong('preserve: ')],
    [
      'an empty idempotency key',
      { ...fullReset, idempotencyKey: '' },
      'InvalidRequest',
      wrong('idempotencyKey: '),
    ],
    ['a backup of a backup', { operation: 'backup', backup: true }, 'InvalidRequest', wrong('"backup"')],
    [
      'a huge request',
      { ...fullReset, requestedBy: big },
      'InvalidRequest',
      /^The request has 70\d\d\d bytes, more than the 65536/,
    ],
    [
      'a request near the limit of Step Functions',
      { ...fullReset, requestedBy: 'y'.repeat(250_000) },
      'InvalidRequest',
      /^The request has 250\d\d\d bytes/,
    ],
    [
      'no confirm',
      { operation: 'reset', strategy: 'full' },
      'ConfirmationMismatch',
      /^confirm is missing, but this is the environment "local"\. Nothing was touched; to reset it, say "confirm": "local"$/,
    ],
    [
      'the confirm of another environment',
      { ...fullReset, confirm: 'staging' },
      'ConfirmationMismatch',
      /^confirm is "staging", but this is the environment "local"\. Nothing was touched; /,
    ],
    [
      'a confirm in capitals',
      { ...fullReset, confirm: 'LOCAL' },
      'ConfirmationMismatch',
      /^confirm is "LOCAL"/,
    ],
    [
      'a wrong confirm even in a dry run',
      { ...fullReset, dryRun: true, confirm: 'staging' },
      'ConfirmationMismatch',
      /^confirm is "staging"/,
    ],
    [
      'a claim without confirm',
      { operation: 'claim' },
      'ConfirmationMismatch',
      /to claim it, say "confirm": "local"$/,
    ],
  ]

  // Of what is no right request the short form tries one of each kind: test/run/request.test.ts has the rest.
  const kinds = [
    '{}',
    'a table whose name holds a NUL',
    'an unknown key',
    'a huge request',
    'no confirm',
    'the confirm of another environment',
    'a claim without confirm',
  ]
  test.each(cases.filter(([says]) => isFull || kinds.includes(says)))(
    '%s',
    async (_, request, error, cause) => {
      let connections = -1
      beforeTask = (state) => {
        // What comes then is the look whether the run has a row in the ledger.
        if (state === 'Finish failed') connections = fronts.database.connections
      }
      const ended = await withVariables(fronts.variables, () => reset.run(request))
      expect([ended.status, ended.error]).toEqual(['FAILED', error])
      expect(ended.cause).toMatch(cause)
      if (error === 'InvalidRequest') expect(ended.cause).toContain(example)
      expect(ended.cause).not.toContain('xxxx')
      expect([connections, fronts.s3.seen, fronts.cache.seen]).toEqual([0, [], []])
      expect(await reset.row(ended.name)).toBeUndefined()
      await reset.machine.told() // whoever hears of its end looks into the ledger, and is not counted to the next
    },
  )

  test('more than Step Functions takes is refused by itself', async () => {
    await expect(reset.run({ ...fullReset, requestedBy: 'x'.repeat(262_144) })).rejects.toThrow(
      'the limit is 262144',
    )
    const ended = await reset.run({ ...fullReset, requestedBy: 'x'.repeat(262_040) })
    expect(ended).toMatchObject({ status: 'FAILED', error: 'States.DataLimitExceeded' })
  })

  test('a key that JavaScript knows is a key like any other', async () => {
    const request = JSON.parse(
      '{"operation":"reset","strategy":"full","confirm":"local","__proto__":{"dryRun":false}}',
    )
    expect((await refuse(request)).error).toBe('InvalidRequest')
  })
})

describe('an environment', () => {
  const claimed =
    /Nothing was touched; if it really belongs to "local", claim it: \{"operation":"claim","confirm":"local"\}$/
  const unmarked: [string, () => Promise<unknown>][] = [
    ['database', () => reset.stack.sql.query('DELETE FROM taskmaster_reset.environment')],
    ['files', () => reset.stack.s3.send(new DeleteObjectCommand({ Bucket: filesBucket, Key: mark }))],
    ['cache', () => reset.stack.redis.del('taskmaster:environment')],
  ]
  test.each(unmarked.filter(([store]) => isFull || store === 'cache'))(
    'whose %s was never claimed is refused, and can be claimed',
    async (store, remove) => {
      await remove()
      for (const request of [
        fullReset,
        databaseReset,
        { operation: 'backup' },
        { ...fullReset, dryRun: true },
      ]) {
        const { error, cause } = await refuse(request)
        expect(error).toBe('EnvironmentUnclaimed')
        expect(cause).toMatch(new RegExp(`^The ${store} .*carries no environment's name`))
        expect(cause).toMatch(claimed)
      }
      await reset.succeed({ operation: 'claim', confirm: environment })
      await reset.succeed({ ...fullReset, dryRun: true })
    },
  )

  test('whose publication takes all tables is told at the claim what the ledger needs of a subscriber', async () => {
    await reset.stack.admin.query('CREATE PUBLICATION everything FOR ALL TABLES')
    try {
      const { status, warnings } = await reset.succeed({ operation: 'claim', confirm: environment })
      expect(status).toBe('succeeded_with_warnings')
      expect(warnings).toEqual([
        {
          code: 'LedgerPublished',
          message: expect.stringMatching(/^Of everything, .* schema taskmaster_reset/),
        },
      ])
    } finally {
      await reset.stack.admin.query('DROP PUBLICATION everything')
    }
    expect((await reset.succeed({ operation: 'claim', confirm: environment })).warnings).toEqual([])
  })

  test('that has no ledger at all is refused', async () => {
    await reset.stack.sql.query('DROP SCHEMA taskmaster_reset CASCADE')
    expect(await refuse(fullReset)).toMatchObject({ error: 'EnvironmentUnclaimed' })
    await reset.succeed({ operation: 'claim', confirm: environment })
  })

  const other: [string, (name: string) => Promise<unknown>][] = [
    [
      'database',
      (name) => reset.stack.sql.query('UPDATE taskmaster_reset.environment SET name = $1', [name]),
    ],
    [
      'files',
      (name) => reset.put(mark, JSON.stringify({ environment: name, claimedAt: '2026-11-22T00:00:00Z' })),
    ],
    ['cache', (name) => reset.stack.redis.set('taskmaster:environment', name)],
  ]
  test.each(other.filter(([store]) => isFull || store === 'cache'))(
    'whose %s belongs to another one is refused, and cannot be claimed',
    async (store, set) => {
      await set('staging')
      for (const request of [
        fullReset,
        { operation: 'backup' },
        { operation: 'claim', confirm: environment },
      ]) {
        const { error, cause } = await refuse(request)
        expect(error).toBe('EnvironmentMismatch')
        expect(cause).toMatch(
          new RegExp(
            `^The ${store} .*belongs to the environment "staging", but the configuration says "local"`,
          ),
        )
        expect(cause).toContain('Nothing was touched; correct the configuration, or remove that mark by hand')
      }
      await set(environment)
    },
  )

  test('whose configuration was moved to another one is refused by the marks', async () => {
    const ended = await refuse({ ...fullReset, confirm: 'staging' }, { ENVIRONMENT: 'staging' })
    expect(ended).toMatchObject({ error: 'EnvironmentMismatch' })
    expect(ended.cause).toContain('belongs to the environment "local", but the configuration says "staging"')
  })

  test('whose mark in the files is damaged is refused', async () => {
    await reset.put(mark, '{"environment":')
    expect(await refuse(fullReset)).toMatchObject({ error: 'EnvironmentMismatch' })
    await reset.put(mark, JSON.stringify({ environment, claimedAt: '2026-11-22T00:00:00Z' }))
  })

  const protections: [string, Record<string, string>, () => Promise<unknown>][] = [
    ['its configuration', { PROTECTED: 'true' }, async () => {}],
    [
      'the ledger',
      {},
      () => reset.stack.sql.query('UPDATE taskmaster_reset.environment SET protected = true'),
    ],
  ]
  test.runIf(isFull).each(protections)(
    `that is protected by %s is not wiped, with or without backup ${inFullForm}`,
    async (_, variables, protect) => {
      await protect()
      for (const request of [
        fullReset,
        { ...fullReset, backup: false },
        { ...fullReset, strategy: 'cache-only' },
      ]) {
        const { error, cause } = await refuse(request, variables)
        expect(error).toBe('EnvironmentProtected')
        expect(cause).toBe(
          'The environment "local" is protected: nothing is wiped or deleted in it. If that is really wanted, set PROTECTED=false and claim it again',
        )
      }
      await withVariables(variables, async () => {
        await reset.succeed({ operation: 'backup', strategy: 'cache-only' })
        await reset.succeed({ ...fullReset, dryRun: true })
      })
      await reset.succeed({ operation: 'claim', confirm: environment })
      await reset.succeed({ operation: 'reset', strategy: 'cache-only', dryRun: true })
    },
  )

  test('that was claimed as protected stays so whatever the configuration says later', async () => {
    await withVariables({ PROTECTED: 'true' }, () =>
      reset.succeed({ operation: 'claim', confirm: environment }),
    )
    expect(await refuse(fullReset)).toMatchObject({ error: 'EnvironmentProtected' })
    await reset.succeed({ operation: 'claim', confirm: environment })
  })
})

describe('a plan', () => {
  const limits: [string, string, RegExp][] = [
    [
      'MAX_ROWS',
      '606',
      /^The reset would wipe 607 rows, more than MAX_ROWS=606 allows\. Nothing was touched; raise MAX_ROWS/,
    ],
    ['MAX_OBJECTS', '11', /^The reset would wipe 12 files, more than MAX_OBJECTS=11 allows/],
    ['MAX_KEYS', '0', /^The reset would wipe 16 cache keys, more than MAX_KEYS=0 allows/],
  ]
  test.runIf(isFull).each(limits)(`that is over %s is refused ${inFullForm}`, async (name, value, cause) => {
    for (const request of [fullReset, { ...fullReset, dryRun: true }]) {
      const ended = await refuse(request, { [name]: value })
      expect(ended.error).toBe('LimitExceeded')
      expect(ended.cause).toMatch(cause)
    }
    await withVariables({ [name]: value }, () => reset.succeed({ operation: 'backup', dryRun: true }))
  })

  test.runIf(isFull)(
    `that keeps a table which references a wiped one is refused, with both ways out ${inFullForm}`,
    async () => {
      const cause =
        'public.worlds is to be kept and references public.users (worlds_owner_fkey), which would be wiped. Either preserve public.users too, or do not preserve public.worlds'
      expect(await refuse({ ...fullReset, preserve: { tables: ['worlds'] } })).toMatchObject({
        error: 'PreservationConflict',
        cause,
      })
      expect(await refuse(databaseReset, { PRESERVE_TABLES: 'public.worlds' })).toMatchObject({
        error: 'PreservationConflict',
        cause,
      })
    },
  )

  test('that leaves out a table which references a wiped one is refused, too', async () => {
    const ended = await refuse(databaseReset, { EXCLUDE_TABLES: 'worlds' })
    expect(ended.error).toBe('PreservationConflict')
    expect(ended.cause).toContain('public.worlds is not managed and references public.users')
  })

  test.runIf(isFull)(`that is to keep what does not exist is refused ${inFullForm}`, async () => {
    const names = 'public.users'
    for (const [request, variables] of [
      [{ ...fullReset, preserve: { tables: ['user'] } }, {}],
      [fullReset, { PRESERVE_TABLES: 'user' }],
      [fullReset, { EXCLUDE_TABLES: 'user' }],
      [fullReset, { PRESERVE_ROWS: '{"user":"true"}' }],
    ] as const) {
      const ended = await refuse(request, variables)
      expect(ended.error).toBe('InvalidRequest')
      expect(ended.cause).toMatch(
        /^The table user is to be kept, but does not exist in the managed schemas\. Tables there: /,
      )
      expect(ended.cause).toContain(names)
    }
  })

  test('that is to keep files by their whole key is refused, because it would keep none', async () => {
    const ended = await refuse({ ...fullReset, preserve: { files: [`${filesPrefix}pinned/`] } })
    expect(ended).toMatchObject({
      error: 'InvalidRequest',
      cause: `"${filesPrefix}pinned/" is to be preserved, but nothing lies there: what preserves files counts from FILES_PREFIX on. Say "pinned/" in preserve.files or PRESERVE_FILES`,
    })
  })

  test('with a condition that Postgres does not understand is refused', async () => {
    const ended = await refuse(fullReset, { PRESERVE_ROWS: `{"users":"rol = 'admin'"}` })
    expect(ended.error).toBe('InvalidConfiguration')
    expect(ended.cause).toMatch(
      /^PRESERVE_ROWS has the condition "rol = 'admin'" for public\.users, which Postgres refuses: /,
    )
  })

  test.runIf(isFull)(
    `of a schema that does not exist is refused: it would be a backup of nothing ${inFullForm}`,
    async () => {
      for (const request of [fullReset, { operation: 'backup' }]) {
        const ended = await refuse(request, { DATABASE_SCHEMAS: 'public,storys' })
        expect(ended.error).toBe('InvalidConfiguration')
        expect(ended.cause).toMatch(/^DATABASE_SCHEMAS names storys, which the database does not have\. /)
      }
    },
  )

  test('without a whole configuration is refused, with what is missing', async () => {
    const ended = await refuse(fullReset, { BACKUP_BUCKET: undefined, MAX_ROWS: 'many' })
    expect(ended.error).toBe('InvalidConfiguration')
    expect(ended.cause).toContain('BACKUP_BUCKET is missing. It should be the S3 bucket of the backups')
    expect(ended.cause).toContain('MAX_ROWS is not a whole number')
  })
})

describe('the database role', () => {
  test('that does not own a table may back it up, but not wipe it', async () => {
    await reset.stack.admin.query(
      'CREATE TABLE public.foreign_one (id int); GRANT SELECT ON foreign_one TO PUBLIC',
    )
    try {
      const ended = await refuse(databaseReset)
      expect(ended).toMatchObject({
        error: 'NotPermitted',
        cause:
          'The database role may not truncate public.foreign_one. Use the role that owns them, or name them in PRESERVE_TABLES',
      })
      await reset.succeed({ operation: 'backup', strategy: 'database-only', dryRun: true })
      await reset.stack.admin.query('REVOKE ALL ON foreign_one FROM PUBLIC')
      const unreadable = await refuse({ operation: 'backup', strategy: 'database-only' })
      expect(unreadable.error).toBe('NotPermitted')
      expect(unreadable.cause).toMatch(
        /^The database role may not read public\.foreign_one, so no backup would hold/,
      )
    } finally {
      await reset.stack.admin.query('DROP TABLE public.foreign_one')
    }
  })

  test.runIf(isFull)(`from which row security hides rows makes no short backup ${inFullForm}`, async () => {
    await reset.stack.sql.query(
      'ALTER TABLE events ENABLE ROW LEVEL SECURITY; ALTER TABLE events FORCE ROW LEVEL SECURITY',
    )
    try {
      for (const request of [databaseReset, { operation: 'backup', strategy: 'database-only' }]) {
        const ended = await refuse(request)
        expect(ended.error).toBe('RowsHidden')
        expect(ended.cause).toMatch(/^Row security hides rows from the database role: .*"events"/)
        expect(ended.cause).toContain(
          'Use the owner without FORCE ROW LEVEL SECURITY, or a role with BYPASSRLS',
        )
      }
    } finally {
      await reset.stack.sql.query(
        'ALTER TABLE events NO FORCE ROW LEVEL SECURITY; ALTER TABLE events DISABLE ROW LEVEL SECURITY',
      )
    }
  })

  test.runIf(isFull)(
    `that another session keeps from a table says who does; the step has tried again by itself ${inFullForm}`,
    async () => {
      const was = await reset.fingerprint()
      await reset.stack.admin.query(
        `SET application_name = 'a forgotten psql'; BEGIN; LOCK TABLE users IN SHARE MODE`,
      )
      let tries = 0
      beforeTask = (state) => {
        if (state === 'Wipe database') tries++
      }
      const ended = await withVariables({ LOCK_TIMEOUT_MS: '50' }, () =>
        reset.run({ ...databaseReset, rehearse: false }),
      )
      await reset.stack.admin.query('COMMIT')
      expect(await reset.fingerprint()).toEqual(was)
      expect(ended.error).toBe('DatabaseBusy')
      expect(ended.cause).toMatch(/^The tables could not be locked within 50 ms/)
      expect(ended.cause).toContain('"a forgotten psql"')
      expect(ended.cause).toContain('holds users')
      expect(tries).toBe(1)
      expect((await reset.row(ended.name)).outcome.targets.database).toMatchObject({
        state: 'backed_up',
        rows: 607,
      })
    },
  )
})

describe('a store', () => {
  test.runIf(isFull)(
    `the cache, when it is down, is a failure when it is to be wiped ${inFullForm}`,
    async () => {
      fronts.cache.faults = [() => 'drop']
      const ended = await refuse(fullReset)
      expect(ended.error).toBe('StoreUnavailable')
      expect(ended.cause).toMatch(
        /^The cache at 127\.0\.0\.1:\d+ cannot be reached: .*\. Check UPSTASH_REDIS_REST_URL/,
      )
    },
  )

  test('the cache, when it refuses the token, is a failure when it is to be wiped', async () => {
    const ended = await refuse(fullReset, { UPSTASH_REDIS_REST_TOKEN: 'wrong-token' })
    expect(ended.error).toBe('NotPermitted')
    expect(ended.cause).toContain('Check UPSTASH_REDIS_REST_TOKEN')
    expect(ended.cause).not.toContain('wrong-token')
  })

  test.runIf(isFull)(
    `the cache, when a key of the application has a name that is reserved for ours, is a refusal ${inFullForm}`,
    async () => {
      const key = `${reservedPrefix(process.env.CACHE_PREFIX ?? '', 'restoring')}mine`
      await reset.stack.redis.set(key, 'mine')
      const ended = await refuse(fullReset)
      expect(ended.error).toBe('KeysReserved')
      await reset.stack.redis.unlink(key)
    },
  )

  test('the cache, when it is gone, is a warning when it is not needed', async () => {
    fronts.cache.faults = [() => ({ status: 404, body: 'no such database' })]
    const outcome = await withVariables(fronts.variables, () =>
      reset.succeed({ operation: 'reset', strategy: 'files-only', dryRun: true }),
    )
    expect(outcome.status).toBe('succeeded_with_warnings')
    expect(outcome.warnings).toMatchObject([{ code: 'CacheUnavailable' }])
    expect(outcome.warnings[0]?.message).toMatch(/answered HTTP 404.*This run does not need it$/)
  })

  test('the database, when it is down, is a failure', async () => {
    fronts.database.down = true
    const ended = await refuse(fullReset)
    expect(ended.error).toBe('StoreUnavailable')
    expect(ended.cause).toMatch(/The database test_\w+ at 127\.0\.0\.1:\d+ cannot be reached: /)
    expect(ended.cause).toContain('Check DATABASE_URL and that the server runs')
    expect(ended.cause).not.toContain('[object')
    expect(fronts.s3.seen).toEqual([])
  })

  test('the database, when it refuses the password, is a failure that does not tell it', async () => {
    const url = Object.assign(new URL(reset.stack.env.DATABASE_URL ?? ''), { password: 'wrong-hunter2' })
    const ended = await refuse(fullReset, { DATABASE_URL: url.href })
    expect(ended.error).toBe('StoreUnavailable')
    expect(ended.cause).toContain('password authentication failed')
    expect(ended.cause).not.toContain('hunter2')
  })

  test.each(['FILES_BUCKET', 'BACKUP_BUCKET'].slice(0, isFull ? undefined : 1))(
    'a bucket that does not exist is a failure: %s',
    async (name) => {
      const ended = await refuse(fullReset, { [name]: 'no-such-bucket' })
      expect(ended).toMatchObject({
        error: 'StoreUnavailable',
        cause: 'The bucket no-such-bucket does not exist. Create it or correct its name',
      })
    },
  )

  const refusals: [
    string,
    (request: { method: string; key: string; query: URLSearchParams }) => boolean,
    RegExp,
  ][] = [
    [
      'that the backup be written',
      ({ method, key }) => ['PUT', 'POST'].includes(method) && key.startsWith('.taskmaster/backups/'),
      /^S3 refuses to write s3:\/\/taskmaster-backups\/\.taskmaster\/backups\/.*Grant it to the function's role$/,
    ],
    [
      'that the work of the run be written',
      ({ method, key }) => method === 'PUT' && key.startsWith('.taskmaster/runs/'),
      /^S3 refuses to write s3:\/\/taskmaster-backups\/\.taskmaster\/runs\//,
    ],
    [
      'that the files be listed',
      ({ query }) => query.get('prefix') === filesPrefix,
      /^S3 refuses to list s3:\/\/taskmaster-files\/generated_stories\//,
    ],
    [
      'that the mark be read',
      ({ key }) => key === mark,
      /^S3 refuses to read s3:\/\/taskmaster-files\/\.taskmaster/,
    ],
  ]
  test.each(refusals.filter((_, at) => isFull || at === 0))(
    'S3, when it forbids %s, is a refusal',
    async (_, matches, cause) => {
      fronts.s3.faults = [(request) => (matches(request) ? s3Error(403, 'AccessDenied') : undefined)]
      const ended = await refuse(fullReset)
      expect(ended.error).toBe('NotPermitted')
      expect(ended.cause).toMatch(cause)
    },
  )

  test.runIf(isFull)(`S3, when it heeds no conditions of copies, is a warning ${inFullForm}`, async () => {
    fronts.s3.faults = [
      (request) => {
        if (request.key.startsWith('.taskmaster/runs/')) delete request.headers['x-amz-copy-source-if-match']
        return undefined
      },
    ]
    const request = { operation: 'backup', strategy: 'files-only' } as const
    const { warnings } = await withVariables(fronts.variables, () => reset.succeed(request))
    expect(warnings.map(({ code }) => code)).toEqual(['ConditionsIgnored'])
  })

  test('S3, when a listing breaks off half-way, is a failure and not the end of the list', async () => {
    fronts.s3.faults = [
      (request) => {
        if (request.query.get('prefix') !== filesPrefix) return undefined
        if (request.query.has('continuation-token')) return s3Error(400, 'InvalidArgument')
        request.path += '&max-keys=5'
        return undefined
      },
    ]
    const ended = await refuse(fullReset)
    expect(ended.error).toBe('StoreUnavailable')
    expect(ended.cause).toMatch(/^S3 failed to list s3:\/\/taskmaster-files\/generated_stories\//)
  })
})

needsRedis(
  'a run whose warnings name a key with NUL, and one that is cut within a character, ends all the same',
  async () => {
    for (const key of ['a\0b', `${'x'.repeat(199)}😀`]) {
      await reset.stack.redis.xgroup('CREATE', key, 'readers', '$', 'MKSTREAM')
      await reset.stack.redis.xadd(key, '*', 'a', '1')
      // What a reader has not acknowledged is not carried, which a warning says.
      await reset.stack.redis.xreadgroup('GROUP', 'readers', 'me', 'STREAMS', key, '>')
    }
    const { status, warnings } = await reset.succeed(
      { operation: 'backup', strategy: 'cache-only' },
      'odd-keys',
    )
    expect(status).toBe('succeeded_with_warnings')
    expect(warnings.find(({ message }) => message.includes('a\\u0000b'))).toBeDefined()
    expect((await reset.row('odd-keys')).outcome.warnings).toEqual(warnings)
    expect(JSON.stringify(warnings)).not.toMatch(/\\ud83d/)
  },
)

test('a backup is not written into a folder that holds anything: an id has only its second and six digits', async () => {
  const { count } = await loadFunctions()
  const about = { runId: 'second-of-that-id', attempt: 0, startedAt: '2026-11-22T19:05:33Z' }
  const root = `.taskmaster/backups/${backupIdOf(about)}/`
  await reset.put(`${root}database/public.users/00000.jsonl.zst`, 'of another run', backupBucket)
  const context = { functionName: 'count', awsRequestId: '', getRemainingTimeInMillis: () => 60_000 }
  const request = { operation: 'backup', strategy: 'full' }
  await expect(count?.({ request, ...about }, context)).rejects.toMatchObject({ name: 'BackupIdTaken' })
  const { finish } = await loadFunctions()
  await finish?.({ runId: about.runId, error: { Error: 'BackupIdTaken', Cause: '' } }, context)
  expect((await reset.objects(backupBucket, root)).map(({ key }) => key)).toHaveLength(1)
})
