import { Redis } from '@upstash/redis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type RedisStore, startRedis } from '../../local/cache/redis.ts'
import { startUpstashRest, type UpstashRest } from '../../local/cache/upstash-rest.ts'
import { type Guarded, guardProcesses } from '../../local/processes/child-processes.ts'

const BYTES = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))

let guarded: Guarded

beforeAll(async () => {
  guarded = await guardProcesses()
})
afterAll(() => guarded.stop())

// One suite for both: what the mock cannot do is skipped by name, so that nothing else can hide behind it.
describe.each([
  { kind: 'redis-server', path: process.env.PATH ?? '' },
  { kind: 'ioredis-mock', path: '' },
])('the REST front over $kind', ({ kind, path }) => {
  let store: RedisStore
  let rest: UpstashRest
  let client: Redis
  const installed = () => kind === 'ioredis-mock' || !store.mock

  beforeAll(async () => {
    store = await startRedis(guarded, { PATH: path })
    rest = await startUpstashRest(store)
    client = new Redis({
      url: rest.url,
      token: rest.token,
      enableTelemetry: false,
      automaticDeserialization: false,
    })
  })
  afterAll(() => rest.stop())

  function rule(name: string, check: () => Promise<void>, needsServer = false): void {
    test(name, async (context) => {
      if (!installed()) context.skip('redis-server is not installed')
      if (needsServer && store.mock) context.skip('ioredis-mock cannot do this')
      await check()
    })
  }

  async function send(
    pathname: string,
    body?: unknown,
    { headers = {}, method = 'POST' }: { headers?: Record<string, string>; method?: string } = {},
  ): Promise<{ status: number; body: unknown }> {
    const response = await fetch(`${rest.url}${pathname}`, {
      method,
      headers: { authorization: `Bearer ${rest.token}`, ...headers },
      ...(body === undefined
        ? {}
        : { body: Buffer.isBuffer(body) ? new Uint8Array(body) : JSON.stringify(body) }),
    })
    return { status: response.status, body: await response.json() }
  }
  const base64 = { headers: { 'upstash-encoding': 'base64' } }

  rule('strings, numbers, null and lists come back as Upstash sends them', async () => {
    expect(await send('/', ['SET', 'plain', 'text'])).toEqual({ status: 200, body: { result: 'OK' } })
    expect(await send('/', ['GET', 'plain'])).toEqual({ status: 200, body: { result: 'text' } })
    expect(await send('/', ['GET', 'missing'])).toEqual({ status: 200, body: { result: null } })
    expect(await send('/', ['SADD', 'set', 1, true])).toEqual({ status: 200, body: { result: 2 } })
    expect(await send('/', ['RPUSH', 'list', 'a', 'b'])).toEqual({ status: 200, body: { result: 2 } })
    expect(await send('/', ['LRANGE', 'list', 0, -1])).toEqual({ status: 200, body: { result: ['a', 'b'] } })
  })

  rule('in base64 every string is encoded at any depth, only the status OK is not', async () => {
    const encode = (text: string) => Buffer.from(text).toString('base64')
    expect((await send('/', ['SET', 'word', 'OK'], base64)).body).toEqual({ result: 'OK' })
    expect((await send('/', ['GET', 'word'], base64)).body).toEqual({ result: encode('OK') })
    expect((await send('/', ['HSET', 'hash', 'field', 'ü'], base64)).body).toEqual({ result: 1 })
    expect((await send('/', ['HGETALL', 'hash'], base64)).body).toEqual({
      result: [encode('field'), encode('ü')],
    })
    expect((await send('/', ['SCAN', '0', 'MATCH', 'hash'], base64)).body).toEqual({
      result: [encode('0'), [encode('hash')]],
    })
    expect(await client.get('word')).toBe('OK')
  })

  rule('any bytes go in through the path and come out in base64 as they were', async () => {
    expect((await send('/set/bytes', BYTES)).body).toEqual({ result: 'OK' })
    const { body } = await send('/', ['GET', 'bytes'], base64)
    expect(Buffer.from((body as { result: string }).result, 'base64')).toEqual(BYTES)
  })

  rule(
    'what DUMP gives, RESTORE takes',
    async () => {
      await client.hset('original', { a: '1', b: 'ü' })
      const dumped = (await send('/', ['DUMP', 'original'], base64)).body as { result: string }
      expect((await send('/restore/copy/0', Buffer.from(dumped.result, 'base64'))).body).toEqual({
        result: 'OK',
      })
      expect(await client.hgetall('copy')).toEqual(await client.hgetall('original'))
    },
    true,
  )

  rule('a command may be a path, with its options behind a question mark', async () => {
    expect((await send('/set/path%2Fkey/value?PX=100000', undefined, { method: 'GET' })).body).toEqual({
      result: 'OK',
    })
    expect(await client.get('path/key')).toBe('value')
    expect(await client.pttl('path/key')).toBeGreaterThan(1_000)
  })

  rule('a pipeline answers each command in its place, errors too', async () => {
    await client.set('text', 'abc')
    const commands = [['GET', 'text'], ['NOSUCHCOMMAND'], ['MGET', 'text', 'missing']]
    const { status, body } = await send('/pipeline', commands, base64)
    expect(status).toBe(200)
    expect(body).toEqual([
      { result: Buffer.from('abc').toString('base64') },
      { error: expect.stringMatching(/^ERR unknown command/) },
      { result: [Buffer.from('abc').toString('base64'), null] },
    ])
  })

  rule('multi-exec runs the commands in order and answers like a pipeline', async () => {
    const transaction = client.multi().set('counter', '1').incr('counter').get('counter')
    expect(await transaction.exec()).toEqual(['OK', 2, '2'])
    const { body } = await send('/multi-exec', [
      ['SET', 'one', '1'],
      ['GET', 'one'],
    ])
    expect(body).toEqual([{ result: 'OK' }, { result: '1' }])
  })

  rule(
    'a transaction with an unknown command changes nothing',
    async () => {
      const { status, body } = await send('/multi-exec', [['SET', 'untouched', '1'], ['NOSUCHCOMMAND']])
      expect({ status, body }).toEqual({ status: 400, body: { error: expect.stringContaining('EXECABORT') } })
      expect(await client.exists('untouched')).toBe(0)
    },
    true,
  )

  rule(
    'a transaction reports the command that failed and keeps the others, as Redis does',
    async () => {
      const { body } = await send('/multi-exec', [
        ['SET', 'x', 'text'],
        ['INCR', 'x'],
        ['GET', 'x'],
      ])
      expect(body).toEqual([
        { result: 'OK' },
        { error: expect.stringContaining('not an integer') },
        { result: 'text' },
      ])
    },
    true,
  )

  rule('what is no command is answered with 400 and says why', async () => {
    const refused = { status: 400, body: { error: expect.stringMatching(/^ERR /) } }
    expect(await send('/', Buffer.from('no json'))).toEqual(refused)
    expect(await send('/', { not: 'a list' })).toEqual(refused)
    expect(await send('/', [])).toEqual(refused)
    expect(await send('/', ['SET', 'key', { nested: true }])).toEqual(refused)
    expect(await send('/', ['NOSUCHCOMMAND'])).toEqual(refused)
    expect(await send('/pipeline', 'GET')).toEqual(refused)
    expect(await send('/%', undefined, { method: 'GET' })).toEqual(refused)
  })

  rule('what would change the connection that all share is refused', async () => {
    for (const name of ['SELECT', 'multi', 'Subscribe', 'QUIT', 'SHUTDOWN', 'MONITOR', 'BLPOP']) {
      const { status, body } = await send('/', [name, '0'])
      expect({ status, body }).toEqual({
        status: 400,
        body: { error: `ERR Command is not available: '${name}'` },
      })
    }
    expect(await client.ping()).toBe('PONG')
  })

  rule('a wrong token or none is answered with 401', async () => {
    for (const authorization of ['', 'Bearer wrong', rest.token]) {
      const answer = await send('/', ['PING'], { headers: { authorization } })
      expect(answer).toEqual({ status: 401, body: { error: expect.any(String) } })
    }
  })

  rule('another method is answered with 405', async () => {
    expect((await send('/', ['PING'], { method: 'DELETE' })).status).toBe(405)
  })

  rule('a request over 10 MB is answered with 413, one just below it is taken', async () => {
    expect((await send('/set/large', Buffer.alloc(10 * 1024 * 1024 + 1))).status).toBe(413)
    expect((await send('/set/large', Buffer.alloc(10 * 1024 * 1024))).body).toEqual({ result: 'OK' })
    expect((await send('/', ['DEL', 'large'])).body).toEqual({ result: 1 })
  })

  rule("the SDK's error names what Redis said", async () => {
    await expect(client.exec(['NOSUCHCOMMAND'])).rejects.toThrow(/ERR unknown command/)
  })
})

test('the text of a service holds no password', async () => {
  const store = await startRedis(guarded)
  expect(store.description).not.toMatch(/[0-9a-f]{20}/)
})
