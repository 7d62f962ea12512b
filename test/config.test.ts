import { readFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { placesOf } from '../lib/config/places.ts'
import { variables } from '../lib/config/variables.ts'
import { readConfig } from '../lib/config.ts'
import { StoreUnavailable } from '../lib/errors.ts'

type Name = keyof typeof variables

const complete: Partial<Record<Name, string>> = {
  ENVIRONMENT: 'staging',
  DATABASE_URL: 'postgresql://app:hunter2@ep-cool-1.eu-central-1.aws.neon.tech/taskmaster?sslmode=require',
  FILES_BUCKET: 'files',
  BACKUP_BUCKET: 'backups',
  SIGNING_KEYS: '[{"id":"2026-11","secret":"aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMmh1bnQ="}]',
  UPSTASH_REDIS_REST_URL: 'https://eu1-cool-1.upstash.io',
  UPSTASH_REDIS_REST_TOKEN: 'token-of-the-cache',
  CACHE_PREFIX: 'taskmaster:',
}

const noParameter = async (path: string): Promise<string> => {
  throw new Error(`nobody asked for ${path}`)
}

beforeEach(() => {
  for (const name of Object.keys(variables)) vi.stubEnv(name, undefined)
})
afterEach(() => void vi.unstubAllEnvs())

function read(values: Partial<Record<Name, string | undefined>>, fetchParameter = noParameter) {
  for (const [name, value] of Object.entries({ ...complete, ...values })) vi.stubEnv(name, value)
  return readConfig(fetchParameter)
}

async function refused(values: Partial<Record<Name, string | undefined>>, fetchParameter = noParameter) {
  const error = await read(values, fetchParameter).then(
    () => undefined,
    (thrown: Error) => thrown,
  )
  expect(error?.name).toBe('InvalidConfiguration')
  return (error as Error).message
}

const aHook = { name: 'on', moment: 'before', url: 'https://x.example/hunter2', secret: 'hunter2'.repeat(5) }
const hooksOf = (...changed: object[]) => JSON.stringify(changed.map((one) => ({ ...aHook, ...one })))
const wrongHooks = [
  'hunter2',
  '{}',
  hooksOf({}, {}),
  hooksOf({ secret: 'hunter2' }),
  hooksOf({ secret: undefined }),
  hooksOf({ url: 'hunter2' }),
  hooksOf({ url: 'ftp://x.example/hunter2' }),
  hooksOf({ url: undefined, secret: undefined }),
  hooksOf({ function: 'arn:aws:lambda:eu-central-1:123456789012:function:hunter2' }),
  hooksOf({ function: 'hunter2', url: undefined, secret: undefined }),
  hooksOf({ function: 'arn:aws:lambda:eu-central-1:123456789012:function:hunter2', url: undefined }),
  hooksOf({ when: 'always' }),
  hooksOf({ onFailure: 'warning' }),
  hooksOf({ timeoutSeconds: 0 }),
  hooksOf({ timeoutSeconds: 301 }),
  hooksOf({ tries: 6 }),
  hooksOf({ operations: ['backup'] }),
  hooksOf({ operations: [] }),
  hooksOf({ hunter3: 1 }),
  // More than the function has time for.
  hooksOf({ timeoutSeconds: 280 }),
  hooksOf({ name: 'a', timeoutSeconds: 139 }, { name: 'b', timeoutSeconds: 140 }),
]
const wrongNotices = [
  'hunter2',
  '[{"https://x.example/hunter2":["failed"]}]',
  '[{"name":"n","kind":"mail","url":"https://x.example/hunter2"}]',
  '[{"name":"n","kind":"slack"}]',
  '[{"name":"n","kind":"slack","url":"hunter2"}]',
  '[{"name":"n","kind":"sns","url":"https://x.example/hunter2"}]',
  '[{"name":"n","kind":"slack","topic":"arn:aws:sns:eu-central-1:123456789012:alarms"}]',
  '[{"name":"n","kind":"sns","topic":"hunter2"}]',
  `[{"name":"n","kind":"slack","url":"https://x.example/","secret":"${'hunter2'.repeat(5)}"}]`,
  '[{"name":"n","kind":"ping","url":"https://x.example/hunter2","on":["recovered"]}]',
  '[{"name":"n","kind":"slack","url":"https://x.example/hunter2","on":["hunter"]}]',
  `[${Array(2).fill('{"name":"n","kind":"slack","url":"https://x.example/hunter2"}')}]`,
]

describe('a variable that is', () => {
  const required: Name[] = [
    'ENVIRONMENT',
    'DATABASE_URL',
    'FILES_BUCKET',
    'BACKUP_BUCKET',
    'SIGNING_KEYS',
    'UPSTASH_REDIS_REST_URL',
    'UPSTASH_REDIS_REST_TOKEN',
    'CACHE_PREFIX',
  ]

  test.each(required)('missing names itself, what it should be, and an example: %s', async (name) => {
    const { is, example } = variables[name]
    for (const value of [undefined, '']) {
      expect(await refused({ [name]: value })).toBe(
        `${name} is missing. It should be ${is}, for example ${example}`,
      )
    }
  })

  const wrong: [Name, string][] = [
    ['ENVIRONMENT', 'Staging!'],
    ['ENVIRONMENT', '-staging'],
    ['ENVIRONMENT', 'x'.repeat(40)],
    ['PROTECTED', 'perhaps'],
    ['DATABASE_URL', 'mysql://app:hunter2@db/taskmaster'],
    ['DATABASE_URL', 'hunter2'],
    ['DATABASE_URL', 'postgres://app:hunter2@[/x'],
    ['DATABASE_SCHEMAS', '[]'],
    ['DATABASE_SCHEMAS', ' , '],
    ['DATABASE_SCHEMAS', 'public,pg_catalog'],
    ['DATABASE_SCHEMAS', 'taskmaster_reset'],
    ['DATABASE_SCHEMAS', 'public,taskmaster_scratch_1'],
    ['DATABASE_SCHEMAS', 'information_schema'],
    ['PRESERVE_TABLES', '["users"'],
    ['PRESERVE_TABLES', '[1]'],
    ['PRESERVE_ROWS', 'users'],
    ['PRESERVE_ROWS', '["users"]'],
    ['PRESERVE_ROWS', '{"users":""}'],
    ['PRESERVE_ROWS', '{"users":true}'],
    ['FILES_PREFIX', 'generated_stories'],
    ['FILES_PREFIX', '/generated_stories/'],
    ['FILES_PREFIX', '/'],
    ['BACKUP_PREFIX', 'backups'],
    ['BACKUP_PREFIX', '.taskmaster/runs/'],
    ['SIGNING_KEYS', 'hunter2'],
    ['SIGNING_KEYS', '[]'],
    ['SIGNING_KEYS', '[{"hunter2":"aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMmh1bnQ="}]'],
    ['SIGNING_KEYS', '[{"id":"a","secret":"hunter2!"}]'],
    ['SIGNING_KEYS', '[{"id":"a b","secret":"aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMmh1bnQ="}]'],
    ['SIGNING_KEYS', '[{"id":"a","secret":"aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMmh1"}]'],
    [
      'SIGNING_KEYS',
      `[${Array(2).fill('{"id":"a","secret":"aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMmh1bnQ="}')}]`,
    ],
    ['UPSTASH_REDIS_REST_URL', 'redis://default:hunter2@eu1-cool-1.upstash.io:6379'],
    ['UPSTASH_REDIS_REST_TOKEN', '   '],
    ['EXPORT_BATCH_BYTES', '0'],
    ['EXPORT_BATCH_BYTES', ' '],
    ['EXPORT_BATCH_BYTES', '8 GiB'],
    ['LATE_MAX_BYTES', '-1'],
    ['LATE_MAX_BYTES', '1.5'],
    ['LATE_MAX_BYTES', '1e6'],
    ['REHEARSE_MAX_BYTES', 'NaN'],
    ['LOCK_TIMEOUT_MS', 'Infinity'],
    ['LOCK_TIMEOUT_MS', '0'],
    ['LOCK_BUDGET_MS', '0'],
    ['RETENTION_LAST', '0'],
    ['RETENTION_DAILY', '0'],
    ['RETENTION_WEEKLY', '0'],
    ['MAX_ROWS', '1234567890123456'],
    ['MAX_ROWS', ' '],
    ['MAX_ROWS', 'many'],
    ['MAX_OBJECTS', '-5'],
    ['MAX_KEYS', '0x10'],
    ['STATE_MACHINE_ARN', 'taskmaster-reset'],
    ['STATE_MACHINE_ARN', 'arn:aws:states:eu-central-1:123456789012:execution:taskmaster-reset:x'],
    ['API_TOKENS', 'hunter2'],
    ['API_TOKENS', '{}'],
    ['API_TOKENS', '[{"ci":{},"hunter2":{}}]'],
    ['API_TOKENS', `[{"name":"c i","sha256":"${'0'.repeat(64)}","scopes":["read"]}]`],
    ['API_TOKENS', `[{"name":"ci","sha256":"${'0'.repeat(64)}","scopes":["read"],"expiresAt":"soon"}]`],
    ['API_TOKENS', '[{"name":"ci","sha256":"hunter2","scopes":["read"]}]'],
    ['API_TOKENS', `[{"name":"ci","sha256":"${'0'.repeat(64)}","scopes":["all"]}]`],
    ['API_TOKENS', `[{"name":"ci","token":"hunter2","sha256":"${'0'.repeat(64)}","scopes":[]}]`],
    ['API_TOKENS', `[${Array(2).fill(`{"name":"ci","sha256":"${'0'.repeat(64)}","scopes":[]}`)}]`],
    ...wrongHooks.map((text): [Name, string] => ['HOOKS', text]),
    ...wrongNotices.map((text): [Name, string] => ['NOTICES', text]),
    ['HOOKS_ON', 'perhaps'],
    ['ALLOWED_PRIVATE_HOSTS', 'https://localhost/hunter2'],
    ['ALLOWED_PRIVATE_HOSTS', 'localhost:0'],
    ['ALLOWED_PRIVATE_HOSTS', 'localhost:65536'],
    ['ALLOWED_PRIVATE_HOSTS', 'user:hunter2@localhost'],
    ['ALLOWED_PRIVATE_HOSTS', '10.0.0.0/8'],
    ['SCHEDULES', 'hunter2'],
    ['SCHEDULES', '[{"name":"nightly","expression":"03:00","operation":"reset"}]'],
    ['SCHEDULES', '[{"name":"nightly","expression":"cron(0 3 * * ? *)","operation":"delete"}]'],
    ['SCHEDULES', '[{"name":"n","expression":"rate(1 hour)","operation":"backup","timeZone":"Mars/Base"}]'],
    ['SCHEDULES', '[{"name":"n","expression":"rate(1 hour)","operation":"backup","to":"baseline"}]'],
    ['SCHEDULES', `[${Array(2).fill('{"name":"n","expression":"rate(1 hour)","operation":"backup"}')}]`],
    [
      'SCHEDULES',
      JSON.stringify(
        Array.from({ length: 101 }, (_, at) => ({
          name: `n${at}`,
          expression: 'rate(1 hour)',
          operation: 'backup',
        })),
      ),
    ],
    ['PUBLIC_NEXT_RESET', 'perhaps'],
    ['PAGE_URL', 'hunter2'],
    ['AWS_ENDPOINT_URL_S3', 'localhost:4566'],
    ['LOG_LEVEL', 'verbose'],
  ]

  test.each(wrong)(
    'wrong is refused by name, with what it should be and an example: %s=%s',
    async (name, value) => {
      const message = await refused({ [name]: value })
      const { is, example } = variables[name]
      expect(message.startsWith(`${name} `)).toBe(true)
      expect(message).toContain(example)
      if (!message.includes('folder of the runs')) expect(message).toContain(`It should be ${is}`)
      expect(message).not.toContain('hunter2')
    },
  )

  test('wrong does not hide that others are wrong too', async () => {
    const message = await refused({ ENVIRONMENT: undefined, MAX_ROWS: 'many', CACHE_PREFIX: '' })
    expect(message.split('\n').map((line) => line.split(' ')[0])).toEqual([
      'ENVIRONMENT',
      'CACHE_PREFIX',
      'MAX_ROWS',
    ])
  })

  test('empty counts as not set', async () => {
    const optional = (Object.keys(variables) as Name[]).filter((name) => !(name in complete))
    const defaults = await read({})
    expect(await read(Object.fromEntries(optional.map((name) => [name, ''])))).toEqual(defaults)
    expect(defaults).toMatchObject({
      PROTECTED: false,
      DATABASE_SCHEMAS: ['public'],
      EXCLUDE_TABLES: [],
      PRESERVE_TABLES: [],
      PRESERVE_ROWS: {},
      FILES_PREFIX: 'generated_stories/',
      BACKUP_PREFIX: '.taskmaster/backups/',
      EXPORT_BATCH_BYTES: 8_589_934_592,
      LATE_MAX_BYTES: 268_435_456,
      REHEARSE_MAX_BYTES: 1_073_741_824,
      REHEARSE_WITHIN_DAYS: 7,
      API_TOKENS: [],
      SCHEDULES: [],
      HOOKS: [],
      HOOKS_ON: false,
      NOTICES: [],
      ALLOWED_PRIVATE_HOSTS: [],
      PUBLIC_NEXT_RESET: false,
      LOCK_TIMEOUT_MS: 30_000,
      LOCK_BUDGET_MS: 600_000,
      LOG_LEVEL: 'INFO',
    })
    expect(defaults.MAX_ROWS).toBeUndefined()
    expect((await read({ MAX_ROWS: '0' })).MAX_ROWS).toBe(0) // nothing may be wiped, which somebody may want
  })
})

describe('the address of the database', () => {
  test('is refused when it is the pooled one, with the reason', async () => {
    const url = 'postgresql://app:hunter2@ep-cool-1-pooler.eu-central-1.aws.neon.tech/taskmaster'
    const message = await refused({ DATABASE_URL: url })
    expect(message).toContain('is the pooled host (-pooler): its sessions are shared between clients')
    expect(message).toContain('use the direct host')
    expect(message).not.toContain('hunter2')
  })

  test.each([
    'EP-A-POOLER.neon.tech/x',
    'ep-a.neon.tech/x?host=ep-a-pooler.neon.tech',
    'ep-a.neon.tech/x?options=endpoint%3Dep-a-pooler',
  ])('is refused when it is the pooled one in another way: %s', async (address) => {
    expect(await refused({ DATABASE_URL: `postgres://app:p@${address}` })).toContain(
      'is the pooled host (-pooler)',
    )
  })

  test('may hold "-pooler" anywhere but in the host', async () => {
    const url = 'postgresql://my-pooler.x:p@db.example.com/my-pooler.db'
    expect((await read({ DATABASE_URL: url })).DATABASE_URL).toBe(url)
  })
})

describe('a list', () => {
  const cases: [string, string[]][] = [
    ['users', ['users']],
    [' users , public.plans ', ['users', 'public.plans']],
    ['users,', ['users']],
    [',,users,,', ['users']],
    ['["a,b", "c"]', ['a,b', 'c']],
    ['[]', []],
    [' ', []],
  ]
  test.each(cases)(
    'is separated by commas, or is a JSON array; an empty item is none: %s',
    async (text, items) => {
      const config = await read({ PRESERVE_TABLES: text, PRESERVE_FILES: text, PRESERVE_KEYS: text })
      expect([config.PRESERVE_TABLES, config.PRESERVE_FILES, config.PRESERVE_KEYS]).toEqual([
        items,
        items,
        items,
      ])
    },
  )

  test('of rows to be kept is a JSON object of tables and conditions', async () => {
    const rows = { 'public.users': "role = 'admin'", '"odd, name"': 'true' }
    expect((await read({ PRESERVE_ROWS: JSON.stringify(rows) })).PRESERVE_ROWS).toEqual(rows)
  })
})

describe('PROTECTED', () => {
  const cases: [string, string | undefined, boolean][] = [
    ['staging', undefined, false],
    ['staging', 'true', true],
    ['staging', '1', true],
    ['staging', 'false', false],
    ['staging', '0', false],
    ['production', undefined, true],
    ['prod-eu', '', true],
    ['production', 'false', false],
  ]
  test.each(cases)('in %s, set to %s, is %s', async (ENVIRONMENT, PROTECTED, expected) => {
    expect((await read({ ENVIRONMENT, PROTECTED })).PROTECTED).toBe(expected)
  })
})

describe('hooks and notices', () => {
  test('have what is left out: a hook before a run must succeed, one after it is a warning', async () => {
    const of = { url: new URL(aHook.url), timeoutSeconds: 30, tries: 3, when: 'succeeded' }
    const { HOOKS, HOOKS_ON } = await read({ HOOKS: hooksOf({}, { name: 'off', moment: 'after', tries: 1 }) })
    expect(HOOKS).toMatchObject([
      { ...of, name: 'on', onFailure: 'error', operations: ['reset', 'reset-to', 'restore'] },
      { ...of, name: 'off', onFailure: 'warning', tries: 1 },
    ])
    expect(HOOKS_ON).toBe(true)
    // Each of them alone is in time: they belong to runs of another kind, or to another moment.
    const apart = [
      { name: 'a', operations: ['reset'] },
      { name: 'b', operations: ['restore'] },
      { name: 'c', moment: 'after' },
    ]
    await read({ HOOKS: hooksOf(...apart.map((one) => ({ ...one, timeoutSeconds: 279 }))) })
  })

  test('are on where it is said so, also for who is not told what they are', async () => {
    expect((await read({ HOOKS_ON: 'true' })).HOOKS_ON).toBe(true)
    expect((await read({ HOOKS: hooksOf({}), HOOKS_ON: 'false' })).HOOKS_ON).toBe(false)
  })

  test('tell what needs a person, and a ping all that happens, unless it is said otherwise', async () => {
    const url = 'https://x.example/'
    const NOTICES = JSON.stringify([
      { name: 'ops', kind: 'slack', url },
      { name: 'alive', kind: 'ping', url },
      { name: 'bus', kind: 'webhook', url, on: ['started'] },
    ])
    expect((await read({ NOTICES })).NOTICES.map(({ on }) => on)).toEqual([
      ['warned', 'failed', 'recovered', 'baseline-outdated', 'no-backup'],
      ['started', 'succeeded', 'warned', 'failed'],
      ['started'],
    ])
  })

  test('may call hosts of an own network that are named, as an address writes them', async () => {
    const text = 'OPS.internal, localhost:8080,[::1]:9,10.0.0.7, 0x7f.1:443'
    expect((await read({ ALLOWED_PRIVATE_HOSTS: text })).ALLOWED_PRIVATE_HOSTS).toEqual([
      { host: 'ops.internal', port: null },
      { host: 'localhost', port: 8080 },
      { host: '::1', port: 9 },
      { host: '10.0.0.7', port: null },
      { host: '127.0.0.1', port: 443 },
    ])
  })
})

describe('folders', () => {
  const overlapping: Partial<Record<Name, string>>[] = [
    { FILES_BUCKET: 'one', BACKUP_BUCKET: 'one', FILES_PREFIX: 'data/', BACKUP_PREFIX: 'data/' },
    { FILES_BUCKET: 'one', BACKUP_BUCKET: 'one', FILES_PREFIX: 'data/', BACKUP_PREFIX: 'data/backups/' },
    { FILES_BUCKET: 'one', BACKUP_BUCKET: 'one', FILES_PREFIX: 'data/stories/', BACKUP_PREFIX: 'data/' },
    { FILES_BUCKET: 'one', BACKUP_BUCKET: 'one', FILES_PREFIX: '.taskmaster/stories/' },
    { FILES_PREFIX: '.taskmaster/' },
  ]
  test.each(overlapping)('of files and backups that overlap are refused: %o', async (values) => {
    const message = await refused(values)
    expect(message).toContain(`FILES_PREFIX ${values.FILES_PREFIX} and `)
    expect(message).toContain('overlap in bucket')
    expect(message).toContain('Give the files or the backups another prefix or bucket')
  })

  test('may lie in one bucket, and under one name in two', async () => {
    await read({ FILES_BUCKET: 'one', BACKUP_BUCKET: 'one' })
    await read({ FILES_PREFIX: 'data/', BACKUP_PREFIX: 'data/' })
    // "stories/" does not contain "stories2/".
    await read({ FILES_BUCKET: 'one', BACKUP_BUCKET: 'one', FILES_PREFIX: 'a/', BACKUP_PREFIX: 'ab/' })
  })
})

describe('a value ssm:/path', () => {
  test('is fetched from SSM', async () => {
    const asked: string[] = []
    const values: Record<string, string> = {
      '/taskmaster/token': 'fetched-token',
      '/taskmaster/url': complete.DATABASE_URL ?? '',
    }
    const config = await read(
      { UPSTASH_REDIS_REST_TOKEN: 'ssm:/taskmaster/token', DATABASE_URL: 'ssm:/taskmaster/url' },
      async (path) => {
        asked.push(path)
        return values[path] ?? ''
      },
    )
    expect(config.UPSTASH_REDIS_REST_TOKEN).toBe('fetched-token')
    expect(config.DATABASE_URL).toBe(complete.DATABASE_URL)
    expect(asked.sort()).toEqual(['/taskmaster/token', '/taskmaster/url'])
  })

  test('that cannot be fetched names the variable, the parameter, the reason and what to do', async () => {
    const message = await refused({ UPSTASH_REDIS_REST_TOKEN: 'ssm:/taskmaster/token' }, async () => {
      throw new Error('User is not authorized to perform: ssm:GetParameter')
    })
    expect(message).toBe(
      'UPSTASH_REDIS_REST_TOKEN names the SSM parameter /taskmaster/token, which could not be read: User is not ' +
        'authorized to perform: ssm:GetParameter. Create it as a SecureString, or give the value itself',
    )
  })

  test('that SSM does not answer about now is no wrong configuration: it may be there in a moment', async () => {
    const silent = new StoreUnavailable('SSM does not answer')
    const reading = read({ UPSTASH_REDIS_REST_TOKEN: 'ssm:/taskmaster/token' }, () => Promise.reject(silent))
    await expect(reading).rejects.toBe(silent)
  })

  test('is checked like any other, and not repeated in the message', async () => {
    const message = await refused({ DATABASE_URL: 'ssm:/taskmaster/url' }, async () => 'hunter2')
    expect(message).toContain('DATABASE_URL is not a postgres:// URL')
    expect(message).not.toContain('hunter2')
  })
})

describe('.env.example', () => {
  const text = readFileSync(new URL('../.env.example', import.meta.url), 'utf8')
  const lines = [...text.matchAll(/^(# )?([A-Z][A-Z0-9_]*)=(.*)$/gm)]

  test('holds every variable and nothing else, each under the line that says what it is', () => {
    expect(lines.map(([, , name]) => name)).toEqual(Object.keys(variables))
    for (const [name, { is, example }] of Object.entries(variables)) {
      const forms = [`\n# ${is}\n${name}=${example}\n`, `\n# ${is}\n# ${name}=${example}\n`]
      expect(
        forms.some((form) => text.includes(form)),
        name,
      ).toBe(true)
    }
  })

  test('leaves open, without "#", what must be given', () => {
    const open = lines.filter(([, comment]) => comment === undefined).map(([, , name]) => name)
    expect(open.sort()).toEqual(Object.keys(complete).sort())
  })

  test('is a configuration that is accepted', async () => {
    const values = Object.fromEntries(lines.map(([, , name, value]) => [name, value]))
    const config = await read(values, async (path) =>
      path.endsWith('signing-keys')
        ? (complete.SIGNING_KEYS ?? '')
        : /hooks|notices/.test(path)
          ? '[]'
          : 'fetched',
    )
    expect(config.UPSTASH_REDIS_REST_TOKEN).toBe('fetched')
  })
})

test('where each store lies is told by host and name, without users and passwords', async () => {
  const of = async (given: typeof complete) => placesOf(await read({ ...complete, ...given }))
  expect(await of({ FILES_PREFIX: 'made/' })).toEqual({
    database: 'ep-cool-1.eu-central-1.aws.neon.tech/taskmaster',
    cache: 'eu1-cool-1.upstash.io',
    files: 's3://files/made/',
    backups: 's3://backups/.taskmaster/backups/',
  })
  const odd = await of({
    DATABASE_URL: 'postgresql://a%40b:p%3Aw@[::1]:5433/100%?password=other',
    UPSTASH_REDIS_REST_URL: 'https://user:password@redis.example:8443/token/path?token=other',
  })
  expect([odd.database, odd.cache]).toEqual(['[::1]:5433/100%', 'redis.example:8443'])
})
