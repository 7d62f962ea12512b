import { createHash } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { startJsonService } from '../deployment/json-front.ts'
import { useFronts } from '../e2e/fronts.ts'
import { withVariables } from '../e2e/reset-stack.ts'
import { inFullForm, isFull } from '../support/trust.ts'
import { tokenOf, useApi } from './api-stack.ts'
import { eventOf } from './recorder.ts'

const api = useApi()
const fronts = useFronts(api.reset)
beforeAll(() => api.reset.seed({ users: 5, files: 1, keys: 1 }))
// What limits and lists go by is the clock: it stands still but where a test moves it.
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'] })
  return () => vi.useRealTimers()
})
const pass = (seconds: number) => vi.setSystemTime(Date.now() + seconds * 1000)

const entry = (name: string, scopes: string[], more: object = {}) => ({
  name,
  sha256: createHash('sha256').update(tokenOf(name)).digest('hex'),
  scopes,
  ...more,
})

/** Asks as API Gateway would, from an address. */
const from = (sourceIp: string, as: string | null, path: string, method = 'GET') =>
  api.invoke(
    eventOf(method, path, {
      headers: as === null ? {} : { authorization: `Bearer ${tokenOf(as)}` },
      requestContext: { http: { method, sourceIp } },
    }),
  )

describe('a list in SSM', () => {
  type Parameter = string | 'gone' | 'down' | 'refused' | 'silent'
  let parameter: Parameter
  let asked = 0
  let spoken = Promise.resolve()
  let said = ''
  let ssm: Awaited<ReturnType<typeof startJsonService>>
  let number = 0

  beforeAll(async () => {
    ssm = await startJsonService(async () => {
      asked++
      if (parameter === 'silent') {
        const Value = said
        await spoken
        return { status: 200, body: { Parameter: { Value } } }
      }
      said = parameter
      if (parameter === 'down') return { status: 500, body: { __type: 'InternalServerError' } }
      if (parameter === 'refused') return { status: 400, body: { __type: 'AccessDeniedException' } }
      if (parameter === 'gone') return { status: 400, body: { __type: 'ParameterNotFound' } }
      return { status: 200, body: { Parameter: { Value: parameter } } }
    })
  })
  afterAll(() => ssm?.stop())

  /** With a process of the function that has read nothing yet. */
  const cold = (use: () => Promise<void>) => {
    asked = 0
    const variables = {
      AWS_ENDPOINT_URL_SSM: ssm.url,
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
      API_TOKENS: `ssm:/tokens-${number++}`,
    }
    return withVariables(variables, use)
  }
  const status = async (as: string) => (await from('192.0.2.1', as, '/v1/session')).statusCode

  test('is read again within a minute, so that a token is revoked, and another let in, without a deployment', async () => {
    parameter = JSON.stringify([entry('one', ['read'])])
    await cold(async () => {
      expect([await status('one'), await status('two')]).toEqual([200, 401])
      parameter = JSON.stringify([entry('two', ['read'])])
      pass(10)
      expect(await status('one')).toBe(200)
      expect(asked).toBe(1) // not at each request
      pass(50)
      expect([await status('one'), await status('two')]).toEqual([401, 200])
      expect(asked).toBe(2)
    })
  })

  test.each((['down', 'refused'] as const).slice(0, isFull ? undefined : 1))(
    'that cannot be read for a while (%s) stays as it was, but not for longer than ten minutes',
    async (trouble) => {
      const good = JSON.stringify([entry('one', ['read'])])
      parameter = good
      await cold(async () => {
        expect(await status('one')).toBe(200)
        parameter = trouble
        pass(120)
        expect(await status('one')).toBe(200)
        pass(9 * 60)
        const refused = await from('192.0.2.1', 'one', '/v1/session')
        expect([refused.statusCode, JSON.parse(refused.body ?? '').title]).toEqual([503, 'StoreUnavailable'])
        expect(refused.body).not.toContain('/tokens-')
        parameter = good
        pass(10)
        expect(await status('one')).toBe(200)
      })
    },
  )

  test.runIf(isFull)(
    `that SSM is silent about keeps nobody waiting who is known: a run can still be cancelled in time ${inFullForm}`,
    async () => {
      parameter = JSON.stringify([entry('one', ['read'])])
      await cold(async () => {
        expect(await status('one')).toBe(200)
        const { promise, resolve: speak } = Promise.withResolvers<void>()
        spoken = promise
        parameter = 'silent'
        pass(60)
        const began = performance.now()
        expect([await status('one'), await status('one')]).toEqual([200, 200])
        expect(performance.now() - began).toBeLessThan(2500) // less than one request to SSM may take
        pass(60)
        parameter = JSON.stringify([entry('two', ['read'])])
        expect([await status('one'), await status('two')]).toEqual([401, 200])
        speak() // the answer to the first question, from before the token was taken out
        await setTimeout(100)
        expect([await status('one'), await status('two')]).toEqual([401, 200])
      })
    },
  )

  test.each(['gone', 'not JSON', '[{"name":"one"}]'].slice(0, isFull ? undefined : 1))(
    'that is %s lets nobody in from then on, until it is right again',
    async (wrong) => {
      const good = JSON.stringify([entry('one', ['read'])])
      parameter = good
      await cold(async () => {
        expect(await status('one')).toBe(200)
        parameter = wrong
        pass(60)
        expect(await status('one')).toBe(500)
        pass(10)
        expect(await status('one')).toBe(500)
        parameter = good
        pass(10)
        expect(await status('one')).toBe(200)
      })
    },
  )

  test('that cannot be read at a cold start is a 503, and is read at the next request', async () => {
    parameter = 'down'
    await cold(async () => {
      expect(await status('one')).toBe(503)
      parameter = JSON.stringify([entry('one', ['read'])])
      expect(await status('one')).toBe(200)
    })
  })
})

test('a token is good until it expires, and who has it is told when that was', async () => {
  const expiresAt = new Date(Date.now() + 3600_000).toISOString()
  const API_TOKENS = JSON.stringify([entry('short', ['read'], { expiresAt }), entry('forever', ['read'])])
  await withVariables({ API_TOKENS }, async () => {
    const session = await api.ask('GET', '/v1/session', { as: 'short' })
    expect([session.status, session.body.expiresAt]).toEqual([200, expiresAt])
    expect((await api.ask('GET', '/v1/session', { as: 'forever' })).body.expiresAt).toBeNull()
    pass(3599)
    expect((await api.ask('GET', '/v1/session', { as: 'short' })).status).toBe(200)
    pass(1)
    const { status, headers, body } = await api.ask('GET', '/v1/session', { as: 'short' })
    expect([status, body.title]).toEqual([401, 'Unauthorized'])
    expect(body.detail).toContain(`expired at ${expiresAt}`)
    expect(headers.get('www-authenticate')).toContain('error="invalid_token"')
    expect((await api.ask('GET', '/v1/session', { as: 'forever' })).status).toBe(200)
  })
})

describe('the last use of a token', () => {
  const uses = async () => {
    const { body } = await api.ask('GET', '/v1/tokens', { as: 'read' })
    return Object.fromEntries(
      body.tokens.map((token: { name: string; lastUsedAt: string }) => [token.name, token.lastUsedAt]),
    )
  }

  test('is in the ledger, noted once a minute at most, and of what was refused not at all', async () => {
    pass(3600)
    const began = new Date()
    await api.ask('GET', '/v1/session', { as: 'restore' })
    expect((await uses()).restore).toBe(began.toISOString())
    await api.ask('POST', '/v1/runs', { as: 'none', body: { operation: 'backup' } })
    expect((await uses()).none).toBeNull()
    pass(30)
    await withVariables(fronts.variables, async () => {
      for (let i = 0; i < 5; i++) await api.ask('GET', '/v1/session', { as: 'restore' })
      expect(fronts.database.connections).toBe(0)
    })
    expect((await uses()).restore).toBe(began.toISOString())
    pass(31)
    await api.ask('GET', '/v1/session', { as: 'restore' })
    expect(Date.parse((await uses()).restore) - began.getTime()).toBe(61_000)
  })

  test('that cannot be noted keeps nobody out', async () => {
    pass(3600)
    fronts.database.down = true
    const { status } = await withVariables(fronts.variables, () =>
      api.ask('GET', '/v1/session', { as: 'read' }),
    )
    expect(status).toBe(200)
  })

  test('is told with what a token may do and until when, and never with its digest', async () => {
    const { status, body } = await api.ask('GET', '/v1/tokens', { as: 'read' })
    expect(status).toBe(200)
    expect(body.tokens).toContainEqual({
      name: 'delete',
      scopes: ['delete'],
      expiresAt: null,
      lastUsedAt: null,
    })
    expect(JSON.stringify(body)).not.toMatch(/[0-9a-f]{64}/)
    expect((await api.ask('GET', '/v1/tokens', { as: 'none' })).body.requiredScope).toBe('read')
  })

  test('is unknown in a ledger of an earlier version, which works as before', async () => {
    const { admin } = api.reset.stack
    await admin.query('ALTER TABLE taskmaster_reset.tokens RENAME TO not_yet')
    pass(3600)
    try {
      expect((await api.ask('GET', '/v1/runs', { as: 'read' })).status).toBe(200)
      expect((await uses()).read).toBeNull()
    } finally {
      await admin.query('ALTER TABLE taskmaster_reset.not_yet RENAME TO tokens')
    }
  })
})

describe('who asks too often', () => {
  const statuses = async (times: number, ask: () => Promise<{ statusCode?: number | undefined }>) => {
    const found = new Map<number | undefined, number>()
    for (let i = 0; i < times; i++) {
      const { statusCode } = await ask()
      found.set(statusCode, (found.get(statusCode) ?? 0) + 1)
    }
    return Object.fromEntries(found)
  }

  test('with a token has to wait for as long as is said; other tokens do not, nor does its cancel', async () => {
    pass(86_400)
    expect(await statuses(210, () => from('192.0.2.2', 'restore', '/v1/session'))).toEqual({
      200: 200,
      429: 10,
    })
    const refused = await from('192.0.2.2', 'restore', '/v1/session')
    expect(JSON.parse(refused.body ?? '')).toMatchObject({
      title: 'TooManyRequests',
      detail:
        'The token "restore" asks too often: 200 times at once and 20 times a second are let through. Nothing was touched; try again in 1 s',
    })
    expect(refused.headers?.['retry-after']).toBe('1')
    expect((await from('192.0.2.2', 'read', '/v1/session')).statusCode).toBe(200)
    expect((await from('192.0.2.2', 'restore', '/v1/runs/nobody/cancel', 'POST')).statusCode).toBe(404)
    pass(1)
    expect((await from('192.0.2.2', 'restore', '/v1/session')).statusCode).toBe(200)
  })

  test.runIf(isFull)(
    `without one, or with unknown ones, is told apart by the address, and locks out no token behind the same ${inFullForm}`,
    async () => {
      pass(86_400)
      const flood = [
        '/v1/runs',
        '/nowhere',
        '/',
        '/v1/openapi.json',
        '/v1/runs/x/cancel',
        '/problems/RunActive',
      ]
      let turn = 0
      const found = await statuses(300, () => {
        const path = flood[turn++ % flood.length] ?? ''
        return from('192.0.2.3', turn % 2 ? null : 'stranger', path, path.endsWith('cancel') ? 'POST' : 'GET')
      })
      expect(found[429]).toBe(100)
      const refused = await from('192.0.2.3', null, '/')
      expect(refused.statusCode).toBe(429)
      expect(refused.body).toContain(
        'The address 192.0.2.3 asks too often: 200 times at once and 10 times a second are let through',
      )
      expect((await from('192.0.2.4', null, '/v1/runs')).statusCode).toBe(401)
      expect((await from('192.0.2.3', 'all', '/v1/runs/nobody/cancel', 'POST')).statusCode).toBe(404)
      expect((await from('192.0.2.3', 'all', '/v1/session')).statusCode).toBe(200)
    },
  )

  test.runIf(isFull)(
    `from an IPv4 address that is written as one of IPv6 is that address, and not all of them ${inFullForm}`,
    async () => {
      pass(86_400)
      await statuses(201, () => from('::ffff:192.0.2.5', null, '/nowhere'))
      const asked = await Promise.all(
        ['::ffff:192.0.2.5', '192.0.2.5', '::ffff:192.0.2.6'].map((one) => from(one, null, '/nowhere')),
      )
      expect(asked.map(({ statusCode }) => statusCode)).toEqual([429, 429, 404])
    },
  )

  test.runIf(isFull)(`from many addresses of one IPv6 network is one address ${inFullForm}`, async () => {
    pass(86_400)
    let host = 0
    await statuses(200, () => from(`2001:db8:1:2::${(host++).toString(16)}`, null, '/nowhere'))
    expect((await from('2001:db8:1:2:ffff::1', null, '/nowhere')).statusCode).toBe(429)
    expect((await from('2001:db8:1:3::1', null, '/nowhere')).statusCode).toBe(404)
  })
})

test.runIf(isFull)(
  `a verify that rehearses loads rows into the database, so it needs the scope backup; one that reads needs read ${inFullForm}`,
  async () => {
    const { backupId } = await api.follow({ operation: 'backup', strategy: 'cache-only' })
    const verify = (rehearse: boolean, as: string) =>
      api.ask('POST', '/v1/runs', { as, body: { operation: 'verify', backupId, rehearse } })
    const refused = await verify(true, 'read')
    expect([refused.status, refused.body.requiredScope]).toEqual([403, 'backup'])
    for (const [rehearse, as] of [
      [false, 'read'],
      [true, 'backup'],
    ] as const) {
      const { status, body } = await verify(rehearse, as)
      expect(status).toBe(202)
      await api.ended(body.runId)
    }
  },
)
