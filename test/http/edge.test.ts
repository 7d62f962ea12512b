import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeApp } from '../../lib/http/app.ts'
import { logger } from '../../lib/log.ts'
import { useFronts } from '../e2e/fronts.ts'
import { withVariables } from '../e2e/reset-stack.ts'
import { tokenOf, useApi } from './api-stack.ts'

const api = useApi()
const level = logger.getLevelName()
logger.setLogLevel('INFO')
const fronts = useFronts(api.reset)

let lines: string[] = []
const write = { stdout: process.stdout.write, stderr: process.stderr.write }
for (const name of ['stdout', 'stderr'] as const)
  process[name].write = ((chunk: string) => lines.push(chunk) > 0) as typeof process.stdout.write
beforeAll(() => api.reset.seed({ users: 20, files: 3, keys: 4 }))
afterAll(() => {
  logger.setLogLevel(level)
  Object.assign(process.stdout, { write: write.stdout })
  Object.assign(process.stderr, { write: write.stderr })
})

describe('a body', () => {
  const padded = (bytes: number) => {
    const body = JSON.stringify({ operation: 'backup', confirm: '' })
    return body.replace('""', `"${'x'.repeat(bytes - body.length)}"`)
  }

  test('of 64 KiB is read, one of a byte more is not', async () => {
    const most = await api.ask('POST', '/v1/runs', { body: padded(64 * 1024) })
    const more = await api.ask('POST', '/v1/runs', { body: padded(64 * 1024 + 1) })
    expect([most.status, most.body.title]).toEqual([400, 'InvalidRequest']) // read, and wrong
    expect([more.status, more.body.title]).toEqual([413, 'BodyTooLarge'])
  })

  test.each(['a\\u0000b', '\\ud83d'])(
    'with the name %s, which no store can hold, is refused',
    async (name) => {
      const { status, body } = await api.ask('POST', '/v1/runs', {
        body: `{"operation":"backup","preserve":{"tables":["${name}"]}}`,
      })
      expect([status, body.title]).toEqual([400, 'InvalidRequest'])
      expect(body.detail).toContain('preserve.tables.0: holds a NUL character')
    },
  )

  test('counts in bytes, also when the gateway hands it over as base64', async () => {
    const body = JSON.stringify({ operation: 'backup', confirm: 'ü'.repeat(33 * 1024) })
    const wide = await api.ask('POST', '/v1/runs', { body })
    const binary = await api.ask('POST', '/v1/runs', {
      body,
      headers: { 'content-type': 'application/octet-stream' },
    })
    expect([wide.status, binary.status]).toEqual([413, 413])
  })

  test.each(['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data', 'application/jsonp'])(
    'that is sent as %s is refused',
    async (type) => {
      const { status, body } = await api.ask('POST', '/v1/runs', {
        body: '{"operation":"backup"}',
        headers: { 'content-type': type },
      })
      expect([status, body.title]).toEqual([415, 'UnsupportedMediaType'])
    },
  )

  test.each(['{"operation":', '', 'null', '"backup"', '{"operation":"backup"} {}'])(
    'that is %j is refused',
    async (body) => {
      const answer = await api.ask('POST', '/v1/runs', { body })
      expect([answer.status, answer.body.title]).toEqual([400, 'InvalidRequest'])
      expect(answer.body.detail).toContain('/v1/openapi.json')
    },
  )

  test('that is wrong is told where, key by key', async () => {
    const { body } = await api.ask('POST', '/v1/runs', {
      body: { operation: 'reset', strategy: 'all', preserve: { tables: [''] } },
    })
    const paths = body.issues.map(({ path }: { path: string }) => path)
    expect(paths).toEqual(['strategy', 'preserve.tables.0'])
  })
})

describe('a token', () => {
  test('tells its name and scopes, where it is, and of which version', async () => {
    const { body } = await api.ask('GET', '/v1/session', { as: 'reset' })
    expect(body).toEqual({
      name: 'reset',
      scopes: ['reset'],
      environment: 'local',
      protected: false,
      version: expect.stringMatching(/^\d+\.\d+\.\d+$/),
    })
  })

  test.each([
    `Basic ${tokenOf('all')}`,
    tokenOf('all'),
    'Bearer',
    'Bearer ',
    `Bearer ${tokenOf('all')} x`,
    `Bearer ${tokenOf('all')}x`,
    `Bearer ${tokenOf('all').slice(0, -1)}`,
    `Bearer ${tokenOf('all').toUpperCase()}`,
  ])('is not %j', async (authorization) => {
    const { status } = await api.ask('GET', '/v1/session', { as: null, headers: { authorization } })
    expect(status).toBe(401)
  })

  test('cannot be had from API_TOKENS, which holds only digests', async () => {
    const [{ sha256 }] = JSON.parse(process.env.API_TOKENS ?? '')
    const headers = { authorization: `Bearer ${sha256}` }
    expect((await api.ask('GET', '/v1/session', { as: null, headers })).status).toBe(401)
  })

  test('is good for nothing when API_TOKENS is not set', async () => {
    const { status } = await withVariables({ API_TOKENS: undefined }, () => api.ask('GET', '/v1/session'))
    expect(status).toBe(401)
  })
})

describe('the options', () => {
  test('count what is there, and say what each strategy takes', async () => {
    const { status, body } = await api.ask('GET', '/v1/options', { as: 'read' })
    expect(status).toBe(200)
    expect(body).toMatchObject({ environment: 'local', claimed: true, protected: false })
    expect(body.strategies.map(({ name }: { name: string }) => name)).toEqual([
      'full',
      'database-only',
      'files-only',
      'cache-only',
    ])
    const users = body.database.tables.find(({ name }: { name: string }) => name === 'public.users')
    expect(users).toMatchObject({ label: 'User', rows: 20, estimated: false, action: 'wiped' })
    expect(body.files).toMatchObject({ objects: 3, approximate: false })
    expect(body.cache).toMatchObject({ keys: 5, approximate: false })
  })

  test('tell a store that is down, and count the others, in under two seconds', async () => {
    fronts.database.down = true
    const began = Date.now()
    const { status, body } = await withVariables(fronts.variables, () => api.ask('GET', '/v1/options'))
    fronts.database.down = false
    expect(Date.now() - began).toBeLessThan(2500)
    expect(status).toBe(200)
    expect(body).toMatchObject({
      claimed: false,
      database: { available: false, reason: { name: 'StoreUnavailable' } },
      files: { available: true, objects: 3 },
      cache: { available: true, keys: 5 },
    })
  })
})

describe('with the database down', () => {
  test('what needs it is a 503 that says what to do, and nothing is started; the rest works', async () => {
    const before = await api.executions()
    fronts.database.down = true
    const answers = await withVariables(fronts.variables, async () => ({
      start: await api.ask('POST', '/v1/runs', { body: { operation: 'backup' } }),
      runs: await api.ask('GET', '/v1/runs'),
      session: await api.ask('GET', '/v1/session'),
      backups: await api.ask('GET', '/v1/backups'),
    }))
    fronts.database.down = false
    for (const { status, body } of [answers.start, answers.runs]) {
      expect([status, body.title]).toEqual([503, 'StoreUnavailable'])
      expect(body.detail).toContain('Check DATABASE_URL')
    }
    expect([answers.session.status, answers.backups.status]).toEqual([200, 200])
    expect(await api.executions()).toEqual(before)
  })
})

test('without a state machine a start is a 500 that names the variable, and nothing else is lost', async () => {
  const answers = await withVariables({ STATE_MACHINE_ARN: undefined }, async () => ({
    start: await api.ask('POST', '/v1/runs', { body: { operation: 'backup' } }),
    runs: await api.ask('GET', '/v1/runs'),
  }))
  expect([answers.start.status, answers.start.body.title]).toEqual([500, 'InvalidConfiguration'])
  expect(answers.start.body.detail).toContain('STATE_MACHINE_ARN')
  expect(answers.runs.status).toBe(200)
})

test('every answer carries the security headers, and none is kept by a cache', async () => {
  const answers = [
    await api.ask('GET', '/v1/session'),
    await api.ask('GET', '/v1/session', { as: null }),
    await api.ask('GET', '/v1/openapi.json', { as: null }),
    await api.ask('GET', '/nowhere', { as: null }),
    await api.ask('OPTIONS', '/v1/runs', { headers: { origin: 'https://elsewhere.example' } }),
  ]
  for (const { headers } of answers) {
    expect(headers.get('x-content-type-options')).toBe('nosniff')
    expect(headers.get('cache-control')).toBe('no-store')
    expect(headers.get('content-security-policy')).toMatch(/^default-src 'none'; .*frame-ancestors 'none'$/)
    expect(headers.get('access-control-allow-origin')).toBeNull()
  }
  expect(answers.map(({ status }) => status)).toEqual([200, 401, 200, 404, 404])
})

describe('the page', () => {
  const files = { 'index.html': '<h1>page</h1>', 'app.js': 'let x', 'app.css': 'p{}' }

  test('is served with its script and style, and asked for again each time', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'page-test-'))
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
    const app = makeApp({
      clients: noClients,
      pageFolders: [new URL('file:///nowhere/'), pathToFileURL(`${folder}/`)],
    })
    const got = await Promise.all(['/', '/assets/app.js', '/assets/app.css'].map((path) => app.request(path)))
    expect(await Promise.all(got.map((answer) => answer.text()))).toEqual(Object.values(files))
    expect(got.map(({ headers }) => headers.get('content-type'))).toEqual([
      'text/html; charset=utf-8',
      'text/javascript; charset=utf-8',
      'text/css; charset=utf-8',
    ])
    for (const { headers } of got) {
      expect(headers.get('cache-control')).toBe('no-cache')
      expect(headers.get('content-security-policy')).toContain("script-src 'self'")
    }
    for (const path of ['/assets/other.js', '/assets/..%2Findex.mjs', '/assets/constructor'])
      expect((await app.request(path)).status).toBe(404)
    await rm(folder, { recursive: true })
  })

  test('that was not built says so', async () => {
    const app = makeApp({ clients: noClients, pageFolders: [new URL('file:///nowhere/')] })
    const answer = await app.request('/')
    expect([answer.status, await answer.text()]).toEqual([404, expect.stringContaining('npm run build')])
  })

  async function noClients(): Promise<never> {
    throw new Error('The page must not need a store')
  }
})

test('the log has a line per request with who asked, and neither a token nor a presigned address', async () => {
  lines = []
  const { backupId } = await api.follow({ operation: 'backup', strategy: 'cache-only' })
  const part = await api.ask('GET', `/v1/backups/${backupId}/parts/manifest.json`, { as: 'restore' })
  await api.ask('GET', `/v1/session?token=${tokenOf('all')}`, { as: 'stranger' })
  const log = lines.join('')
  const requests = lines
    .filter((line) => line.includes('"message":"request"'))
    .map((line) => JSON.parse(line))
  expect(requests).toContainEqual(
    expect.objectContaining({
      method: 'GET',
      path: `/v1/backups/${backupId}/parts/manifest.json`,
      caller: 'restore',
      status: 200,
    }),
  )
  const signature = new URL(part.body.url).searchParams.get('X-Amz-Signature') ?? ''
  expect(signature).toHaveLength(64)
  for (const secret of ['token-of-', signature, 'X-Amz-']) expect(log).not.toContain(secret)
})

test('an error that is none of ours is answered 500 without its message, which stays in the log', async () => {
  lines = []
  const app = makeApp({
    clients: () => Promise.reject(new TypeError('what-nobody-foresaw')),
    pageFolders: [],
  })
  const answer = await app.request('/v1/runs', { headers: { authorization: 'Bearer x' } })
  const text = await answer.text()
  expect([answer.status, JSON.parse(text).title]).toEqual([500, 'UnexpectedError'])
  expect(text).not.toContain('what-nobody-foresaw')
  expect(lines.join()).toContain('what-nobody-foresaw')
})
