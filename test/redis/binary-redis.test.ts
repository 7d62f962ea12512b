import { once } from 'node:events'
import { createServer } from 'node:http'
import { syncBuiltinESMExports } from 'node:module'
import { connect } from 'node:net'
import timers from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { pagesOf } from '../../lib/cache/value/pages.ts'
import { BinaryRedis } from '../../lib/redis/binary-redis.ts'
import { asBytes, asList, asNumber, asText } from '../../lib/redis/reply.ts'
import { AnswerTooLarge } from '../../lib/redis/rest-answer.ts'
import { readScan } from '../../lib/redis/scan.ts'
import { close, LOOPBACK, listen } from '../../local/loopback.ts'
import { startCache } from '../cache/cache-stack.ts'

const stack = await startCache()
const needsServer = test.skipIf(stack.mock)
const { cache } = stack.clients
const stops: (() => Promise<void>)[] = []

/** A cache whose server answers every request as told. */
async function cacheThat(
  answer: (attempt: number) => { status: number; body: string } | 'hang',
): Promise<BinaryRedis> {
  let attempt = 0
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      const given = answer(++attempt)
      if (given !== 'hang') response.writeHead(given.status).end(given.body)
    })
  })
  const port = await listen(server)
  stops.push(async () => {
    const closed = close(server)
    server.closeAllConnections()
    await closed
  })
  return new BinaryRedis(`http://127.0.0.1:${port}`, 'secret-token')
}

afterEach(async () => {
  for (const stop of stops.splice(0)) await stop()
})

describe('the client of the cache', () => {
  test('gives every string of an answer as its bytes, at any depth', async () => {
    const bytes = Buffer.from([0, 1, 0xff, 0xfe, 0x80, 10, 13, 34])
    await stack.redis.set('a', bytes)
    await stack.redis.rpush('l', bytes, 'OK', '', '123', '{"a": 1}')
    expect(
      await cache.ask([
        ['GET', 'a'],
        ['LRANGE', 'l', '0', '-1'],
        ['GET', 'absent'],
        ['LLEN', 'l'],
      ]),
    ).toEqual([
      bytes,
      [bytes, Buffer.from('OK'), Buffer.from(''), Buffer.from('123'), Buffer.from('{"a": 1}')],
      null,
      5,
    ])
  })

  test('leaves the status OK as it is, and a value OK too', async () => {
    expect(
      await cache.ask([
        ['SET', 'ok', 'OK'],
        ['GET', 'ok'],
      ]),
    ).toEqual([Buffer.from('OK'), Buffer.from('OK')])
  })

  test("still has the SDK's own methods, whose strings are Buffers too", async () => {
    await cache.set('own', '{"a": 1}')
    expect(await cache.get('own')).toEqual(Buffer.from('{"a": 1}'))
    expect(await cache.get('absent')).toBeNull()
    expect(await cache.pipeline().get('own').del('own').exec()).toEqual([Buffer.from('{"a": 1}'), 1])
  })

  needsServer(
    'says which command failed and why, and nothing of its arguments (needs redis-server)',
    async () => {
      await stack.redis.rpush('l', 'x')
      const secret = 'very secret value'
      for (const commands of [
        [['GET', 'l']],
        [['NOSUCHCOMMAND', secret]],
        [['SET', 'a', secret, 'NOSUCHOPTION']],
      ]) {
        const error = await cache.ask(commands as [string, ...string[]][]).catch((error: Error) => error)
        expect(error).toMatchObject({
          name: 'StoreUnavailable',
          message: expect.stringContaining(commands[0]?.[0] ?? ''),
        })
        expect((error as Error).message).not.toContain('secret')
      }
      await expect(cache.set('a', secret, { ex: -1 })).rejects.toThrow(/^(?!.*secret)/s)
    },
  )

  test('asks again after 429 and 5xx, and after a connection that broke', async () => {
    let failures = 0
    stack.front.faults = [
      () => {
        failures++
        if (failures === 1) return { status: 429, body: '{"error":"ERR max requests limit exceeded"}' }
        if (failures === 2) return { status: 500, body: '<html>a proxy</html>' }
        return failures === 3 ? 'drop' : undefined
      },
    ]
    expect(await cache.ask([['PING']])).toEqual([Buffer.from('PONG')])
    expect(failures).toBe(4)
  })

  test('a wrong token is an error that names the variable, without the token, and is not tried again', async () => {
    const wrong = new BinaryRedis(stack.front.url, 'secret-token')
    const error = await wrong.ask([['PING']]).catch((error: Error) => error)
    expect(error).toMatchObject({
      name: 'NotPermitted',
      message: expect.stringContaining('UPSTASH_REDIS_REST_TOKEN'),
    })
    expect((error as Error).message).not.toContain('secret-token')
    expect(stack.front.seen).toHaveLength(1)
  })

  test('a refused connection is given up within 4 s, with the host and without the token', async () => {
    const port = await refusingPort()
    const { waits, restore } = withoutWaiting()
    const error = await new BinaryRedis(`http://127.0.0.1:${port}`, 'secret-token')
      .ask([['PING']])
      .catch((error) => error)
      .finally(restore)
    expect(waits.length).toBeGreaterThan(1)
    expect(waits.reduce((sum, wait) => sum + wait)).toBeLessThan(4_000)
    expect(error).toMatchObject({
      name: 'StoreUnavailable',
      message: expect.stringMatching(
        new RegExp(`^The cache at 127.0.0.1:${port} cannot be reached: .*ECONNREFUSED`),
      ),
    })
    expect(error.message).not.toContain('secret-token')
  })

  test('an answer that is no JSON, or not of Upstash, is an error without the answer', async () => {
    for (const body of ['<html>secret', '{"result": "c2VjcmV0', '[1, 2]', '"secret"']) {
      const odd = await cacheThat(() => ({ status: 200, body }))
      await expect(odd.ask([['PING']])).rejects.toThrow(/^(?!.*secret)The cache at/s)
    }
  })

  test('a status says by which name a request failed, and whether the token, the address or the size is to blame', async () => {
    for (const [status, error, wanted] of [
      [
        401,
        'WRONGPASS',
        { name: 'NotPermitted', message: expect.stringContaining('UPSTASH_REDIS_REST_TOKEN') },
      ],
      [403, 'no', { name: 'NotPermitted', message: expect.stringContaining('UPSTASH_REDIS_REST_TOKEN') }],
      [
        404,
        'no such database',
        {
          name: 'StoreUnavailable',
          message: expect.stringMatching(/HTTP 404: no such database\. Check UPSTASH_REDIS_REST_URL/),
        },
      ],
      [413, 'any', { name: 'AnswerTooLarge' }],
      [400, 'ERR max single record size exceeded', { name: 'AnswerTooLarge' }],
      [
        400,
        'NOPERM no',
        { name: 'NotPermitted', message: expect.stringContaining('refused PING: NOPERM no') },
      ],
    ] as const) {
      const odd = await cacheThat(() => ({ status, body: JSON.stringify({ error }) }))
      await expect(odd.ask([['PING']]), `${status} ${error}`).rejects.toMatchObject(wanted)
    }
  })

  test('a reason is told without the arguments, and not at any length', async () => {
    const long = await cacheThat(() => ({ status: 404, body: JSON.stringify({ error: 'x'.repeat(9_000) }) }))
    const told = await long.ask([['PING']]).catch((error: Error) => error)
    expect((told as Error).message.length).toBeLessThan(600)
    const quoting = await cacheThat(() => ({
      status: 400,
      body: JSON.stringify({ error: "ERR unknown command 'X', with args beginning with: 'secret'" }),
    }))
    await expect(quoting.ask([['PING'], ['PING']])).rejects.toThrow(/^(?!.*secret).*unknown command/s)
  })

  test('an answer that is of no kind that Redis gives is an error, and no number is taken that is not exact', async () => {
    for (const result of [true, { a: 1 }]) {
      const odd = await cacheThat(() => ({ status: 200, body: JSON.stringify([{ result }]) }))
      await expect(odd.ask([['PING']])).rejects.toMatchObject({
        name: 'StoreUnavailable',
        message: expect.stringMatching(/answered with (boolean|object) where text, a number or a list/),
      })
    }
    const text = Buffer.from('9007199254740993')
    expect(() => asNumber(text)).toThrow('answered with text where a number was expected')
    expect(() => asNumber(Buffer.from('a'))).toThrow('where a number was expected')
    expect([asNumber(Buffer.from('12')), asNumber(7), asText(7), asBytes(7)]).toEqual([
      12,
      7,
      '7',
      Buffer.from('7'),
    ])
    expect(() => asText([])).toThrow('answered with a list where text was expected')
    expect(() => asBytes(null)).toThrow('answered with null where text was expected')
    expect(() => asList(text)).toThrow('answered with text where a list was expected')
    expect(() => pagesOf.hash.read([Buffer.from('0'), [text]], '0', 1)).toThrow('1 parts of pairs')
    for (const cursor of [2 ** 60, Buffer.from('-1'), Buffer.from('next')])
      expect(() => readScan([cursor, []])).toThrow('something that is no cursor')
    expect(readScan([17, []]).cursor).toBe('17')
  })

  test('a replica is told of the last write that it has to have', async () => {
    const tokens: (string | undefined)[] = []
    const server = createServer((request, response) => {
      tokens.push(request.headers['upstash-sync-token'] as string | undefined)
      request.resume().on('end', () => {
        response.writeHead(200, { 'upstash-sync-token': `token ${tokens.length}` }).end('[{"result":1}]')
      })
    })
    const port = await listen(server)
    stops.push(() => {
      server.closeAllConnections()
      return close(server)
    })
    const replicated = new BinaryRedis(`http://127.0.0.1:${port}`, 'token')
    for (let n = 0; n < 3; n++) await replicated.ask([['PING']])
    expect(tokens).toEqual(['', 'token 1', 'token 2'])
  })

  test('whoever stops waiting is told why, at once, and nothing is asked any more', async () => {
    for (const body of ['hang', { status: 503, body: '{}' }] as const) {
      let asked = 0
      const reason = new Error('the invocation has ended')
      const over = new AbortController()
      const silent = await cacheThat(() => {
        asked++
        setTimeout(() => over.abort(reason), 20)
        return body
      })
      await expect(silent.ask([['PING']], { signal: over.signal })).rejects.toBe(reason)
      expect(asked).toBe(1)
      await expect(silent.ask([['PING']], { signal: over.signal })).rejects.toBe(reason)
      expect(asked).toBe(1)
    }
  })

  test('an answer with another number of results than commands is an error', async () => {
    const short = await cacheThat(() => ({ status: 200, body: '[{"result":1}]' }))
    await expect(short.ask([['PING'], ['PING']])).rejects.toThrow(/1 answers to 2 commands/)
  })

  test('a server that ignores the base64 header is found out, instead of its answers being garbled', async () => {
    const plain = await cacheThat(() => ({ status: 200, body: '[{"result":["0",["hash","key:1"]]}]' }))
    await expect(plain.ask([['SCAN', '0']])).rejects.toMatchObject({
      name: 'StoreUnavailable',
      message: expect.stringContaining('base64'),
    })
  })

  test('an answer larger than is taken into memory is given up', async () => {
    await stack.redis.set('large', Buffer.alloc(100_000, 'x'))
    await expect(cache.send([['GET', 'large']], { maxBytes: 50_000 })).rejects.toBeInstanceOf(AnswerTooLarge)
    const [answer] = await cache.send([['GET', 'large']], { maxBytes: 200_000 })
    expect(answer?.result).toHaveLength(100_000)
  })

  test('very many commands go in several requests, none of them larger than Upstash takes', async () => {
    const name = 'k'.repeat(30_000)
    const commands = Array.from({ length: 200 }, (_, n): [string, string] => ['EXISTS', `${name}${n}`])
    expect(await cache.ask(commands)).toEqual(commands.map(() => 0))
    expect(stack.front.seen.length).toBeGreaterThan(1)
  })
})

/** Notes the milliseconds that are to be waited between two tries, and has nobody wait. */
function withoutWaiting() {
  const waits: number[] = []
  const real = { setTimeout: timers.setTimeout }
  const use = (some: object) => {
    Object.assign(timers, some)
    syncBuiltinESMExports()
  }
  use({
    setTimeout: (wait: number, ...rest: [unknown, object]) => {
      waits.push(wait)
      return real.setTimeout(0, ...rest)
    },
  })
  return { waits, restore: () => use(real) }
}

/** A port that nobody listens on, nor can begin to: a connection to somewhere else has it at its own end. */
async function refusingPort(): Promise<number> {
  const server = createServer()
  const socket = connect({ port: await listen(server), host: LOOPBACK })
  await once(socket, 'connect')
  stops.push(async () => {
    socket.destroy()
    await close(server)
  })
  return socket.localPort ?? 0
}
