import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import * as errors from '../../lib/errors.ts'
import { makeApp } from '../../lib/http/app.ts'
import { behindGateway } from '../../lib/http/gateway.ts'
import { problemResponse } from '../../lib/http/problem.ts'
import { logger } from '../../lib/log.ts'
import { useFronts } from '../e2e/fronts.ts'
import { withVariables } from '../e2e/reset-stack.ts'
import { tokenOf, useApi } from './api-stack.ts'

const { errorKinds } = errors
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
    expect(more.body.detail).toContain('The body has 65537 bytes, more than the 65536 that are read.')
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
  test('tells its name and scopes, where it is, without a password, and of which version', async () => {
    const { body } = await api.ask('GET', '/v1/session', { as: 'reset' })
    const { env } = api.reset.stack
    expect(body).toEqual({
      name: 'reset',
      scopes: ['reset'],
      expiresAt: null,
      environment: 'local',
      protected: false,
      where: {
        database: (env.DATABASE_URL ?? '').replace(/^.*@|\?.*$/g, ''),
        cache: (env.UPSTASH_REDIS_REST_URL ?? '').replace('http://', ''),
        files: `s3://${env.FILES_BUCKET}/generated_stories/`,
        backups: `s3://${env.BACKUP_BUCKET}/.taskmaster/backups/`,
      },
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

  test('tell a store that is down, and one that says nothing for two seconds, and count the others', async () => {
    const { promise: silence, resolve: speak } = Promise.withResolvers<undefined>()
    fronts.database.down = true
    fronts.cache.faults = [() => silence]
    const { status, body } = await withVariables(fronts.variables, () => api.ask('GET', '/v1/options'))
    speak(undefined)
    expect(status).toBe(200)
    const message = expect.stringContaining('did not answer within 1.8 s')
    expect(body).toMatchObject({
      claimed: false,
      database: { available: false, reason: { name: 'StoreUnavailable' } },
      files: { available: true, objects: 3 },
      cache: { available: false, reason: { name: 'StoreUnavailable', message } },
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
  expect(answers.map(({ status }) => status)).toEqual([200, 401, 200, 404, 204])
})

test('when the next reset is, is told to pages everywhere where that is wanted, and else to nobody', async () => {
  const SCHEDULES = JSON.stringify([
    { name: 'hourly', operation: 'backup', expression: 'cron(0 * * * ? *)' },
    { name: 'nightly', operation: 'reset', expression: 'cron(0 3 * * ? *)', timeZone: 'Europe/Berlin' },
    { name: 'yearly', operation: 'reset', expression: 'cron(0 3 1 1 ? *)' },
    { name: 'off', operation: 'reset', expression: 'cron(* * * * ? *)', state: 'DISABLED' },
  ])
  const asked = () => api.ask('GET', '/v1/next-reset', { as: null })
  const secret = await withVariables({ SCHEDULES }, asked)
  expect([secret.status, secret.body.title]).toEqual([404, 'NoSuchRoute'])
  const open = await withVariables({ SCHEDULES, PUBLIC_NEXT_RESET: 'true' }, asked)
  expect(open.headers.get('access-control-allow-origin')).toBe('*')
  expect(Object.keys(open.body)).toEqual(['at'])
  expect(Date.parse(open.body.at) - Date.now()).toBeLessThan(25 * 3_600_000)
  const { body } = await withVariables({ SCHEDULES }, () => api.ask('GET', '/v1/schedules', { as: 'read' }))
  expect(
    body.schedules.map(({ name, next }: { name: string; next: string[] }) => [name, next.length]),
  ).toEqual([
    ...[
      ['hourly', 5],
      ['nightly', 5],
      ['yearly', 5],
      ['off', 0],
    ],
  ])
  expect(body.schedules[1].next).toContain(open.body.at)
  const SECRET = '[{"name":"hunter2","operation":"reset","expression":"cron(hunter2)"}]'
  const wrong = await withVariables({ SCHEDULES: SECRET, PUBLIC_NEXT_RESET: 'true' }, asked)
  expect([wrong.status, wrong.body.title]).toEqual([500, 'InvalidConfiguration'])
  expect(JSON.stringify(wrong.body)).not.toContain('hunter2')
  const none = await withVariables({ PUBLIC_NEXT_RESET: 'true' }, asked)
  expect(none.body).toEqual({ at: null })
})

describe('every answer', () => {
  const event = (change: object = {}, http: object = {}) => ({
    version: '2.0',
    rawPath: '/v1/session',
    rawQueryString: '',
    headers: { authorization: `Bearer ${tokenOf('all')}` },
    isBase64Encoded: false,
    requestContext: { requestId: 'of-the-gateway', http: { method: 'GET', sourceIp: '127.0.0.1', ...http } },
    ...change,
  })

  test.each([
    ['a body on GET', event({ body: '{}' }), 400, 'InvalidRequest'],
    ['a body on HEAD', event({ body: 'e30=', isBase64Encoded: true }, { method: 'HEAD' }), 400, undefined],
    ['a method that no request can have', event({}, { method: 'TRACE' }), 405, 'MethodNotAllowed'],
    ['CONNECT', event({ rawPath: '/v1/runs' }, { method: 'CONNECT' }), 405, 'MethodNotAllowed'],
    ['TRACE of nothing', event({ rawPath: '/nowhere' }, { method: 'TRACE' }), 404, 'NoSuchRoute'],
    ['a method with a space in it', event({}, { method: 'G ET' }), 400, 'InvalidRequest'],
    ['a method that is none', event({}, { method: '' }), 400, 'InvalidRequest'],
    ['a header that is none', event({ headers: { 'a b': 'x' } }), 400, 'InvalidRequest'],
    ['no headers', event({ headers: undefined }), 401, 'Unauthorized'],
    ['no path', event({ rawPath: undefined }), 400, 'InvalidRequest'],
    ['a path that is none', event({ rawPath: 'v1/session' }), 400, 'InvalidRequest'],
    ['bad percent-encoding', event({ rawPath: '/v1/runs/%E0%A4%A' }), 400, 'InvalidRequest'],
    [
      'a path that looks like a host',
      event({ rawPath: '//elsewhere.example/v1/session' }),
      404,
      'NoSuchRoute',
    ],
    ['no request context', event({ requestContext: undefined }), 400, 'InvalidRequest'],
    ['nothing at all', {}, 400, 'InvalidRequest'],
    ['no event', null, 400, 'InvalidRequest'],
    [
      'a body that is no base64',
      event(
        { rawPath: '/v1/runs', body: '***', isBase64Encoded: true, headers: event().headers },
        { method: 'POST' },
      ),
      400,
      'InvalidRequest',
    ],
  ])(
    'to %s is a problem document with the security headers and a request id',
    async (_, sent, status, title) => {
      const answer = await api.invoke(sent)
      const headers = new Headers(answer.headers as Record<string, string>)
      expect(answer.statusCode).toBe(status)
      expect(headers.get('content-type')).toBe('application/problem+json')
      expect(headers.get('x-content-type-options')).toBe('nosniff')
      expect(headers.get('x-request-id')).toMatch(/./)
      if (title === undefined) return // HEAD has no body
      const problem = JSON.parse(answer.body ?? '')
      expect(problem).toMatchObject({ title, status, requestId: headers.get('x-request-id') })
    },
  )

  test("carries the gateway's request id, which the log has too, and which nobody else can give", async () => {
    lines = []
    const answer = await api.invoke(event({ headers: { 'x-request-id': 'forged' } }))
    expect(answer.headers?.['x-request-id']).toBe('of-the-gateway')
    expect(JSON.parse(answer.body ?? '').requestId).toBe('of-the-gateway')
    expect(lines.join('')).toContain('"requestId":"of-the-gateway"')
    expect(lines.join('')).not.toContain('forged')
  })

  test.each([['a\nlevel: forged'], ['\u{1f600}'], ['x'.repeat(1000)], [' ']])(
    'has an id of its own when the one it came with can stand in no header: %j',
    async (requestId) => {
      lines = []
      const sent = event()
      const answer = await api.invoke({ ...sent, requestContext: { ...sent.requestContext, requestId } })
      expect(answer.statusCode).toBe(200)
      expect(answer.headers?.['x-request-id']).toMatch(/^[0-9a-f-]{36}$/)
      expect(lines.join('')).not.toContain('forged')
    },
  )

  test('to cookies, to a base64 body and to a query is the one to a plain request', async () => {
    const one = await api.invoke(event({ cookies: ['a=1', 'b=2'] }))
    expect([one.statusCode, JSON.parse(one.body ?? '').name]).toEqual([200, 'all'])
    const body = Buffer.from('{"operation":"rest"}').toString('base64')
    const headers = { ...event().headers, 'content-type': 'application/json' }
    const two = await api.invoke(
      event({ rawPath: '/v1/runs', body, isBase64Encoded: true, headers }, { method: 'POST' }),
    )
    expect([two.statusCode, two.body]).toEqual([400, expect.stringContaining('operation')])
    const three = await api.invoke(event({ rawPath: '/v1/runs', rawQueryString: 'limit=1' }))
    expect(three.statusCode).toBe(200)
  })

  test.each([
    ['/v1/runs', 'GET, HEAD, POST, OPTIONS', ['PUT', 'DELETE', 'PATCH']],
    ['/v1/runs/some-run', 'GET, HEAD, OPTIONS', ['POST', 'DELETE']],
    ['/v1/runs/some-run/cancel', 'POST, OPTIONS', ['GET', 'HEAD', 'PUT']],
    ['/v1/backups/some-backup', 'GET, HEAD, PATCH, DELETE, OPTIONS', ['POST', 'PUT']],
    ['/v1/backups/some-backup/pin', 'PUT, OPTIONS', ['GET', 'POST']],
    ['/v1/backups/some-backup/parts/database%2Fa/b', 'GET, HEAD, OPTIONS', ['PUT']],
    ['/v1/openapi.json', 'GET, HEAD, OPTIONS', ['POST']],
    ['/', 'GET, HEAD, OPTIONS', ['POST']],
  ])(
    'at %s to another method is a 405 with what is allowed, %s, without a token too',
    async (path, allow, others) => {
      for (const method of others) {
        const { status, headers, body } = await api.ask(method, path, { as: null })
        expect([method, status, headers.get('allow')]).toEqual([method, 405, allow])
        if (method !== 'HEAD') expect(body.title).toBe('MethodNotAllowed')
      }
      const options = await api.ask('OPTIONS', path, { as: null })
      expect([options.status, options.headers.get('allow'), options.body]).toEqual([204, allow, ''])
    },
  )

  test('to HEAD is that to GET without the body', async () => {
    for (const path of ['/v1/session', '/v1/runs', '/v1/openapi.json', '/v1/runs/nobody', '/nowhere']) {
      const get = await api.ask('GET', path)
      const head = await api.ask('HEAD', path)
      expect([head.status, head.body]).toEqual([get.status, ''])
      for (const name of ['content-type', 'cache-control', 'etag', 'x-content-type-options'])
        expect(head.headers.get(name), name).toBe(get.headers.get(name))
    }
  })

  test('that refuses a token says how to get in, as RFC 6750 has it', async () => {
    const asked = async (as: string | null, path = '/v1/runs') =>
      (await api.ask('GET', path, { as })).headers.get('www-authenticate')
    expect(await asked(null)).toBe('Bearer realm="taskmaster-reset"')
    expect(await asked('stranger')).toBe('Bearer realm="taskmaster-reset", error="invalid_token"')
    expect(await asked('reset')).toBe(
      'Bearer realm="taskmaster-reset", error="insufficient_scope", scope="read"',
    )
    expect(await asked('all')).toBeNull()
  })

  test('to a request with many errors is short, and says how many are left out', async () => {
    const names = Array.from({ length: 900 }, () => '')
    const many = await api.ask('POST', '/v1/runs', {
      body: { operation: 'backup', preserve: { tables: names, files: names, keys: names } },
    })
    expect([many.status, many.body.issues.length, many.body.moreIssues]).toEqual([400, 20, 2700 - 20])
    expect(many.body.detail).toContain(`; and ${2700 - 5} more. Nothing was touched`)
    const keys = Object.fromEntries(Array.from({ length: 3000 }, (_, i) => [`no-such-key-${i}`, 1]))
    const unknown = await api.ask('POST', '/v1/runs', { body: { operation: 'backup', ...keys } })
    const long = await api.ask('GET', `/v1/${'x'.repeat(7000)}`)
    for (const { body } of [many, unknown, long]) expect(JSON.stringify(body).length).toBeLessThan(8000)
  })

  test('refuses a query that the route does not know, also where it knows none', async () => {
    const paths = [
      '/v1/session',
      '/v1/options',
      '/v1/runs',
      '/v1/runs/nobody',
      '/v1/backups',
      '/v1/backups/nothing',
      '/v1/backups/nothing/parts/manifest.json',
    ]
    for (const path of paths) {
      const { status, body } = await api.ask('GET', `${path}?limt=5`)
      expect([path, status, body.title]).toEqual([path, 400, 'InvalidRequest'])
      expect(body.detail).toContain('limt')
    }
    const cancel = await api.ask('POST', '/v1/runs/nobody/cancel?force=true')
    const start = await api.ask('POST', '/v1/runs?dryRun=true', { body: { operation: 'backup' } })
    expect([cancel.status, start.status]).toEqual([400, 400])
    for (const query of ['#limit=1', 'limit=1#x']) {
      const answer = await api.invoke(event({ rawPath: '/v1/runs', rawQueryString: query }))
      expect([query, answer.statusCode]).toEqual([query, 400])
    }
    // Also where it knows none: a parameter without a name is in no schema.
    for (const path of ['/v1/session?=1', '/v1/runs?limit=5&=1', '/v1/backups?=']) {
      const { status, body } = await api.ask('GET', path)
      expect([path, status, body.title]).toEqual([path, 400, 'InvalidRequest'])
      expect(body.detail).toContain('has no name')
    }
    for (const query of ['limit=1e1', 'limit=0x10', 'limit=', 'limit=1&limit=2', 'limit=201'])
      expect((await api.ask('GET', `/v1/runs?${query}`)).status, query).toBe(400)
  })
})

describe('the page', () => {
  const files = {
    ...{ 'index.html': '<h1>page</h1>', 'app.js': 'let x', 'app.css': 'p{}' },
    'chunk-0AB1CDEF.js': 'let y',
  }

  test('is served with its scripts and style, and asked for again each time, but for what has another name when it changes', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'page-test-'))
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
    const app = makeApp({
      clients: noClients,
      documents: [],
      pageFolders: [new URL('file:///nowhere/'), pathToFileURL(`${folder}/`)],
    })
    const paths = ['/', '/assets/app.js', '/assets/app.css', '/assets/chunk-0AB1CDEF.js']
    const got = await Promise.all(paths.map((path) => app.request(path)))
    expect(await Promise.all(got.map((answer) => answer.text()))).toEqual(Object.values(files))
    expect(got.map(({ headers }) => headers.get('content-type'))).toEqual([
      'text/html; charset=utf-8',
      'text/javascript; charset=utf-8',
      'text/css; charset=utf-8',
      'text/javascript; charset=utf-8',
    ])
    for (const { headers } of got)
      expect(headers.get('content-security-policy')).toContain("script-src 'self'")
    const kept = got.map(({ headers }) => headers.get('cache-control'))
    expect(kept).toEqual(['no-cache', 'no-cache', 'no-cache', 'max-age=31536000, immutable'])
    for (const path of [
      '/assets/other.js',
      '/assets/..%2Findex.mjs',
      '/assets/constructor',
      '/assets/chunk-0AB1CDEF.js.map',
    ])
      expect((await app.request(path)).status).toBe(404)
    await rm(folder, { recursive: true })
  })

  test('that was not built says so', async () => {
    const app = makeApp({ clients: noClients, pageFolders: [new URL('file:///nowhere/')], documents: [] })
    const answer = await app.request('/')
    expect([answer.status, await answer.text()]).toEqual([404, expect.stringContaining('npm run build')])
  })

  async function noClients(): Promise<never> {
    throw new Error('The page must not need a store')
  }
})

test('the status of a problem says who has to act, for each error there is', async () => {
  const { ResetError, RunActive } = errors
  const thrown = Object.values(errors).flatMap((exported) => {
    if (typeof exported !== 'function' || !(exported.prototype instanceof ResetError)) return []
    const Class = exported as unknown as new (...given: string[]) => errors.ResetError
    return [exported === RunActive ? new RunActive('other', 'wait') : new Class('wait')]
  })
  expect(thrown.map(({ name }) => name).sort()).toEqual([...errorKinds.keys()].sort())
  const byStatus: Record<number, string[]> = {}
  for (const error of thrown) {
    const { status } = problemResponse(error, { instance: '/', requestId: 'r' })
    byStatus[status] = [...(byStatus[status] ?? []), error.name].sort()
  }
  expect(byStatus).toEqual({
    400: ['InvalidRequest'],
    404: ['NotFound', 'UnknownBackup'],
    409: [
      ...['AmbiguousBackup', 'BackupBeingPruned', 'LabelMoved', 'LabelRefused'],
      ...['RunActive', 'RunEnded', 'RunStarting', 'TooLateToCancel'],
    ],
    422: [
      'BackupDamaged',
      'BackupKept',
      'BackupTooNew',
      'BackupUnsigned',
      'ConfirmationMismatch',
      'EnvironmentMismatch',
      'EnvironmentProtected',
      'EnvironmentUnclaimed',
      'ForeignBackup',
      'HookRefused',
      'IdempotencyConflict',
      'KeysReserved',
      'LimitExceeded',
      'NotComparable',
      'NotEmpty',
      'ParentsMissing',
      'PreservationConflict',
      'RowsHidden',
      'SchemaChanged',
    ],
    500: [
      'BackupIdTaken',
      'BackupIncomplete',
      'BackupIsStale',
      'CacheQuotaExceeded',
      'CacheValueTooLarge',
      'DatabaseFull',
      'DatabaseOutOfMemory',
      'HookFailed',
      'InvalidConfiguration',
      'ListingUnreliable',
      'NotPermitted',
      'OutOfTime',
      'ReadBackMismatch',
      'RehearsalFailed',
      'RestoreIncomplete',
      'RunLost',
      'TooLargeToRead',
      'WipeIncomplete',
      'WorkDamaged',
    ],
    503: ['DatabaseBusy', 'StoreUnavailable'],
  })
})

test('an answer that Lambda would not take is told as a problem, with the headers of every answer', async () => {
  const text = (length: number) => behindGateway({ fetch: () => new Response('x'.repeat(length)) })
  const event = { rawPath: '/', requestContext: { requestId: 'large', http: { method: 'GET' } } }
  expect((await text(6_000_000)(event)).statusCode).toBe(200)
  const { statusCode, headers, body } = await text(6 * 1024 * 1024)(event)
  expect([statusCode, headers['content-type']]).toEqual([500, 'application/problem+json'])
  expect(headers['x-content-type-options']).toBe('nosniff')
  expect(JSON.parse(body)).toMatchObject({ title: 'UnexpectedError', requestId: 'large' })
  expect(body).not.toContain('xxx')
})

test('the type of a problem is an address of the service with the entry of the runbook, for whoever reads it', async () => {
  const names = [...errorKinds.keys(), 'UnexpectedError', 'Unauthorized', 'MethodNotAllowed']
  for (const name of names) {
    const { status, headers, body } = await api.ask('GET', `/problems/${name}`, { as: null })
    expect([name, status, headers.get('content-type')]).toEqual([name, 200, 'text/html; charset=UTF-8'])
    expect(headers.get('cache-control')).toBe('public, max-age=3600')
    expect(body).toContain(`<h1>${name}</h1>`)
  }
  const { body } = await api.ask('GET', '/problems/RunActive', { as: null })
  expect(body).toContain('<strong>Do:</strong> Wait for it')
  expect(body).not.toContain('### ')
  const { body: problem } = await api.ask('GET', '/v1/runs/nobody')
  expect((await fetch(new URL(problem.type, `${api.url}/v1/runs/nobody`))).status).toBe(200)
  for (const path of ['/problems/NoSuchError', '/problems/Alarms', '/problems/constructor'])
    expect((await api.ask('GET', path, { as: null })).status, path).toBe(404)
  for (const path of ['/problems/..%2Fx', '/problems/%3Cscript%3E', '/problems/a%00'])
    expect((await api.ask('GET', path, { as: null })).status, path).toBe(400)
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

test('what is wrong with the configuration is told to nobody who is not known, but in the log', async () => {
  lines = []
  const { status, body } = await withVariables({ DATABASE_URL: 'postgres://no-url of mine' }, () =>
    api.ask('GET', '/v1/session'),
  )
  expect([status, body.title]).toEqual([500, 'InvalidConfiguration'])
  expect(body.detail).toMatch(
    /^The API is not configured, so it can let nobody in\. Its log names the variable/,
  )
  const told = lines.find((line) => line.includes('the configuration is wrong'))
  expect(told).toContain('DATABASE_URL')
  const failed = lines.find((line) => line.includes('"message":"failed"'))
  expect(JSON.parse(failed ?? '{}')).toMatchObject({ path: '/v1/session', error: 'InvalidConfiguration' })
})

test('an error that is none of ours is answered 500 without its message, which stays in the log', async () => {
  lines = []
  const app = makeApp({
    clients: () => Promise.reject(new TypeError('what-nobody-foresaw')),
    pageFolders: [],
    documents: [],
  })
  const answer = await app.request('/v1/runs', { headers: { authorization: 'Bearer x' } })
  const text = await answer.text()
  expect([answer.status, JSON.parse(text).title]).toEqual([500, 'UnexpectedError'])
  expect(text).not.toContain('what-nobody-foresaw')
  expect(lines.join()).toContain('what-nobody-foresaw')
})
