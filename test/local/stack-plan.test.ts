import { expect, test } from 'vitest'
import { EmbeddedFilesRefused, planStack } from '../../local/stack-plan.ts'

const lasting = { AWS_ENDPOINT_URL_S3: 'http://127.0.0.1:9000' }
const neon = 'postgres://app:secret@ep-cool-1.eu-central-1.aws.neon.tech/app?sslmode=require'

test('what is not given is embedded', () => {
  const embedded = { embedded: true }
  expect(planStack({})).toEqual({ database: embedded, cache: embedded, files: embedded, machine: embedded })
  expect(planStack({ DATABASE_URL: '', REDIS_URL: '', STATE_MACHINE_ARN: '' })).toEqual(planStack({}))
})

test('what is given is used as it is', () => {
  const plan = planStack({
    ...lasting,
    DATABASE_URL: neon,
    UPSTASH_REDIS_REST_URL: 'https://eu1-cool-1.upstash.io',
    UPSTASH_REDIS_REST_TOKEN: 'token',
    STATE_MACHINE_ARN: 'arn:aws:states:eu-central-1:123456789012:stateMachine:reset',
  })
  expect(plan).toEqual({
    database: { embedded: false, url: neon, proxy: false },
    cache: { embedded: false, restUrl: 'https://eu1-cool-1.upstash.io', token: 'token' },
    files: { embedded: false, endpoint: 'http://127.0.0.1:9000' },
    machine: { embedded: false, arn: 'arn:aws:states:eu-central-1:123456789012:stateMachine:reset' },
  })
})

test.each([
  ['postgres://u:p@localhost/app', {}, true],
  ['postgresql://u:p@db.example.com:6432/app', {}, true],
  ['postgres://u:p@neon.tech.example.com/app', {}, true],
  [neon, {}, false],
  ['postgres://u:p@localhost/app', { DATABASE_WEBSOCKET_PROXY: '127.0.0.1:5488' }, false],
])(
  'a database that is not Neon gets a WebSocket proxy, unless there is one: %s %o',
  (DATABASE_URL, more, proxy) => {
    expect(planStack({ ...lasting, DATABASE_URL, ...more }).database).toEqual({
      embedded: false,
      url: DATABASE_URL,
      proxy,
    })
  },
)

test('real AWS is used only when credentials and both buckets are given', () => {
  const buckets = { FILES_BUCKET: 'files', BACKUP_BUCKET: 'backups' }
  expect(planStack({ AWS_PROFILE: 'work', ...buckets }).files).toEqual({
    embedded: false,
    endpoint: undefined,
  })
  expect(planStack({ AWS_ACCESS_KEY_ID: 'x', FILES_BUCKET: 'files' }).files.embedded).toBe(true)
  expect(planStack(buckets).files.embedded).toBe(true)
})

test.each([
  [{ DATABASE_URL: neon }, ['DATABASE_URL']],
  [{ REDIS_URL: 'redis://localhost:6379' }, ['REDIS_URL']],
  [
    { DATABASE_URL: neon, UPSTASH_REDIS_REST_URL: 'https://x.upstash.io', UPSTASH_REDIS_REST_TOKEN: 't' },
    ['DATABASE_URL', 'UPSTASH_REDIS_REST_URL'],
  ],
])('an S3 that forgets is refused for data that lasts: %o', (environment, given) => {
  const refused = (() => {
    try {
      planStack(environment)
    } catch (error) {
      return error as EmbeddedFilesRefused
    }
  })()
  expect(refused).toBeInstanceOf(EmbeddedFilesRefused)
  expect(refused).toMatchObject({ name: 'EmbeddedFilesRefused', given })
  expect(refused?.message).toContain('AWS_ENDPOINT_URL_S3')
  expect(refused?.message).toContain(`unset ${given.join(' and ')}`)
  expect(planStack({ ...environment, ...lasting }).files.embedded).toBe(false)
})

test('what is half given is refused, and no secret comes up in the message', () => {
  expect(() => planStack({ UPSTASH_REDIS_REST_URL: 'https://x.upstash.io' })).toThrow(
    'UPSTASH_REDIS_REST_TOKEN is not',
  )
  expect(() => planStack({ UPSTASH_REDIS_REST_TOKEN: 'sesame' })).toThrow(/^(?!.*sesame).*URL is not/)
  expect(() => planStack({ DATABASE_URL: 'user:sesame@host' })).toThrow(/^(?!.*sesame)DATABASE_URL/)
  expect(() => planStack({ DATABASE_URL: 'sesame' })).toThrow(/^(?!.*sesame)DATABASE_URL is no URL/)
})
