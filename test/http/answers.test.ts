import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { BackupBeingPruned, DatabaseBusy, InvalidRequest, RunActive, RunStarting } from '../../lib/errors.ts'
import { abridged, bytesInAnswer, fitting } from '../../lib/http/answers/size.ts'
import { makeApp } from '../../lib/http/app.ts'
import { findCaller } from '../../lib/http/auth.ts'
import { behindGateway } from '../../lib/http/gateway.ts'
import { problemResponse } from '../../lib/http/problem.ts'
import { rateLimiter } from '../../lib/http/rate-limit.ts'
import { logger } from '../../lib/log.ts'
import { eventOf } from './recorder.ts'

// What needs no store.
const level = logger.getLevelName()
beforeEach(() => {
  logger.setLogLevel('SILENT')
  vi.useFakeTimers({ toFake: ['Date'] })
})
afterEach(() => {
  logger.setLogLevel(level)
  vi.useRealTimers()
})

const noStores = () => Promise.reject(new Error('No store may be asked'))

/** The API for who asks once too often already the second time. */
const strict = () => {
  const [token, address] = [
    { burst: 1, perSecond: 0.1 },
    { burst: 1, perSecond: 0.1 },
  ]
  return behindGateway(
    makeApp({ clients: noStores, pageFolders: [], documents: [], rates: { token, address } }),
  )
}

test('every answer has these headers, and the page may load and be shown nowhere but here', async () => {
  const { headers } = await strict()(eventOf('GET', '/v1/openapi.json'))
  expect(headers).toMatchObject({
    'content-security-policy':
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'strict-transport-security': 'max-age=31536000',
    'cache-control': 'no-store',
  })
})

describe('behind the gateway', () => {
  const event = eventOf('GET', '/v1/x')
  test('what is thrown where no answer is made any more is told as a problem, with every header', async () => {
    const failing = behindGateway({ fetch: () => Promise.reject(new Error('what-nobody-foresaw')) })
    const { statusCode, headers, body } = await failing(event)
    expect([statusCode, headers['x-content-type-options'], headers['x-request-id']]).toEqual([
      ...[500, 'nosniff', 'of-a-test'],
    ])
    expect(JSON.parse(body)).toMatchObject({ title: 'UnexpectedError', instance: '/v1/x' })
    expect(body).not.toContain('what-nobody-foresaw')
  })

  test('an answer counts as Lambda reads it: escaped, and in a text of JSON', async () => {
    const status = async (text: string) =>
      (await behindGateway({ fetch: () => new Response(text) })(event)).statusCode
    expect(await status('"'.repeat(3_100_000))).toBe(200)
    expect(await status('"'.repeat(3_200_000))).toBe(500)
    expect(await status('\u0001'.repeat(1_100_000))).toBe(500)
  })

  test('a path that was decoded on its way keeps its "?" and "#", and names nothing else', async () => {
    const asked: string[] = []
    const seen = behindGateway({ fetch: ({ url }) => new Response(`${asked.push(url)}`) })
    await seen(eventOf('GET', '/v1/a?b#c', { rawQueryString: 'x=1' }))
    await seen(eventOf('GET', '/v1/a', { headers: { host: 'elsewhere.example' } }))
    expect(asked).toEqual(['https://localhost/v1/a%3Fb%23c?x=1', 'https://localhost/v1/a'])
  })

  test('what is refused on HEAD has no body', async () => {
    const { statusCode, body } = await strict()(eventOf('HEAD', '/v1/runs', { body: '{}' }))
    expect([statusCode, body]).toEqual([400, ''])
  })
})

describe('a stranger', () => {
  const authorization = { headers: { authorization: 'Bearer x' } }
  test.each([
    ['what is no request', eventOf('GET', '/v1/runs', { ...authorization, body: '{}' }), 400],
    ['a method that no request can have', eventOf('TRACE', '/v1/runs', authorization), 405],
    ['a method that the address does not take', eventOf('PATCH', '/v1/runs', authorization), 405],
    ['what is allowed', eventOf('OPTIONS', '/v1/runs', authorization), 204],
    ['the document', eventOf('GET', '/v1/openapi.json', authorization), 200],
    ['what there is not', eventOf('GET', '/v2/runs', authorization), 404],
  ])('who sends a token to where none is asked for is counted all the same: %s', async (_, asked, status) => {
    const api = strict()
    const first = await api(asked)
    const second = await api(asked)
    expect([first.statusCode, second.statusCode, second.headers['retry-after']]).toEqual([status, 429, '10'])
    vi.setSystemTime(Date.now() + 10_000)
    expect((await api(asked)).statusCode).toBe(status)
  })

  test('of a network of IPv6 is one, however its addresses are written', async () => {
    const api = strict()
    const from = async (sourceIp: string) => {
      const requestContext = { http: { method: 'GET', sourceIp } }
      return (await api(eventOf('GET', '/v1/openapi.json', { requestContext }))).statusCode
    }
    expect(await from('2001:db8::1')).toBe(200)
    expect([await from('2001:db8:0:0:5::'), await from('2001:db8::2:0:0:3')]).toEqual([429, 429])
    expect([await from('2001:db8::1:2:0:0:3'), await from('::1')]).toEqual([200, 200])
  })

  test('is who sends no token, also when an entry is of the empty one', () => {
    const empty = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
    const tokens = [{ name: 'nobody', sha256: empty, scopes: [] }]
    for (const header of [undefined, '', 'Bearer ', 'Basic x'])
      expect(() => findCaller(tokens, header, new Date())).toThrow('There is no token')
  })
})

describe('a limit', () => {
  test('remembers ten thousand callers, and forgets who asked least recently', () => {
    const { take } = rateLimiter({ burst: 1, perSecond: 0.01 })
    expect([take('first'), take('second')]).toEqual([0, 0])
    for (let other = 0; other < 9_998; other++) take(`other ${other}`)
    expect(take('first')).toBe(100) // asked again, it is the latest
    take('one more')
    expect(take('first')).toBe(100)
    expect(take('second')).toBe(0)
  })

  test('lets through so many at once and no more however long nobody asked, and no fewer when a clock goes back', () => {
    const { take } = rateLimiter({ burst: 2, perSecond: 1 })
    const times = (count: number) => Array.from({ length: count }, () => take('one'))
    expect(times(3)).toEqual([0, 0, 1])
    vi.setSystemTime(Date.now() + 3600_000)
    expect(times(3)).toEqual([0, 0, 1])
    vi.setSystemTime(Date.now() - 3600_000)
    expect(take('one')).toBe(1)
    vi.setSystemTime(Date.now() + 1000)
    expect(take('one')).toBe(0)
  })
})

test('a problem says when to try again, where that helps: not sooner than in a second, and within the quarter of an hour', () => {
  const inSeconds = (seconds: number) => new Date(Date.now() + seconds * 1000)
  const active = (until?: Date) => new RunActive('run', 'is active', until)
  const told = (error: unknown) =>
    problemResponse(error, { instance: '/', requestId: 'r' }).headers.get('retry-after')
  expect(
    [
      ...[active(), active(inSeconds(29.2)), active(inSeconds(-5)), active(inSeconds(5000))],
      ...[new BackupBeingPruned('x'), new RunStarting('x'), new DatabaseBusy('x'), new InvalidRequest('x')],
      new Error('x'),
    ].map(told),
  ).toEqual(['10', '30', '1', '900', '30', '1', '5', null, null])
})

test('a problem tells the beginning of a long message and of a long path', async () => {
  const asked = { instance: `/${'p'.repeat(5000)}`, requestId: 'r' }
  const answer = problemResponse(new InvalidRequest('x'.repeat(9000)), asked)
  expect(await answer.json()).toMatchObject({
    detail: `${'x'.repeat(8000)}…`,
    instance: `/${'p'.repeat(999)}…`,
  })
})

describe('what is too much for an answer', () => {
  test('comes in a page of what fits, of one at least, so that each page leads on', () => {
    const items = ['a'.repeat(40), 'b'.repeat(40), 'c'.repeat(40)]
    expect(bytesInAnswer(String.fromCharCode(34))).toBe(10) // a quotation mark is escaped, and that once more
    const bytes = bytesInAnswer(items[0])
    expect(fitting(items, 2 * bytes)).toEqual(items.slice(0, 2))
    expect(fitting(items, 2 * bytes - 1)).toEqual(items.slice(0, 1))
    expect(fitting(items, 1)).toEqual(items.slice(0, 1))
    expect([fitting(items), fitting([])]).toEqual([items, []])
  })

  test('is told by its beginnings, says so, and keeps what is counted', () => {
    const value = {
      rows: 123_456,
      list: Array.from({ length: 20_000 }, (_, n) => n),
      texts: Object.fromEntries(Array.from({ length: 20_000 }, (_, n) => [`name ${n}`, 'x'])),
      text: 'y'.repeat(50_000),
      nothing: null,
    }
    expect(abridged(value)).toBe(value)
    const cut = abridged(value, 40_000)
    expect(cut).toMatchObject({ rows: 123_456, nothing: null, abridged: true })
    expect([cut.list.length, Object.keys(cut.texts).length, cut.text.length]).toEqual([1000, 1000, 1001])
    // What does not fit at all is told as short as it can be.
    const least = abridged(value, 100)
    expect([least.list.length, Object.keys(least.texts).length, least.text.length]).toEqual([10, 100, 201])
  })
})

test('a value that is used when a key is left out is said, and not called a default, for which clients would take it', async () => {
  const app = makeApp({ clients: noStores, pageFolders: [], documents: [] })
  const document = await (await app.request('/v1/openapi.json')).text()
  expect(document).not.toMatch(/"default":(?!\{)/)
  const limit = JSON.parse(document).paths['/v1/runs'].get.parameters.find(
    ({ name }: { name: string }) => name === 'limit',
  )
  expect(limit.description).toBe('Entries of a page at most. Left out: 50')
  expect(JSON.parse(document).components.schemas.BackupRequest.properties.rehearse.description).toMatch(
    /\. Left out: "auto"$/,
  )
  expect(JSON.parse(document).paths['/problems/{name}'].get.security).toEqual([])
})
