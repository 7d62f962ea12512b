import { createHmac } from 'node:crypto'
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { createServer as createPlain } from 'node:http'
import { createServer } from 'node:https'
import { createServer as createSocket } from 'node:net'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { type Called, call } from '../../lib/web/call.ts'
import type { Lookup } from '../../lib/web/host.ts'
import { signed } from '../../lib/web/signature.ts'
import { close, LOOPBACK, listen } from '../../local/loopback.ts'
import { selfSigned } from '../support/self-signed.ts'

const certificate = selfSigned()
const stops: (() => unknown)[] = []
const before = getCACertificates()

beforeAll(() => {
  if (certificate) setDefaultCACertificates([...before, certificate.cert])
})
afterAll(() => setDefaultCACertificates(before))
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop()
  vi.unstubAllEnvs()
})

/** A receiver with the certificate of `localhost`, and what it was sent. */
async function receiver(answer: RequestListener, tls: typeof certificate | null = certificate) {
  const seen: { request: IncomingMessage; body: string }[] = []
  const listener = (request: IncomingMessage, response: ServerResponse) => {
    let body = ''
    request.on('data', (chunk) => (body += chunk))
    request.on('end', () => {
      seen.push({ request, body })
      answer(request, response)
    })
  }
  const server = tls ? createServer(tls, listener) : createPlain(listener)
  const port = await listen(server)
  stops.push(() => {
    const closed = close(server)
    server.closeAllConnections()
    return closed
  })
  return { port, seen }
}

const here: Lookup = async () => [{ address: LOOPBACK, family: 4 }]
const asks = (
  port: number,
  {
    path = '/services/hunter2?key=hunter2',
    host = 'localhost',
    ...more
  }: Partial<Parameters<typeof call>[0]> & { path?: string; host?: string; protocol?: string } = {},
): Promise<Called> =>
  call({
    url: new URL(`${more.protocol ?? 'https:'}//${host}:${port}${path}`),
    body: '{"text":"ü"}',
    headers: {},
    timeoutMs: 60_000,
    allowed: [{ host: 'localhost', port: null }],
    lookup: here,
    ...more,
  })

describe.skipIf(certificate === undefined)('a call', () => {
  test('sends its body once, over TLS, to the host by its name, and tells the status of the answer', async () => {
    const { port, seen } = await receiver((_, response) => response.writeHead(204).end())
    expect(await asks(port, { headers: { 'idempotency-key': 'k' } })).toEqual({ status: 204 })
    expect(seen).toHaveLength(1)
    const { request, body } = seen[0]!
    expect([request.method, request.url, body]).toEqual([
      'POST',
      '/services/hunter2?key=hunter2',
      '{"text":"ü"}',
    ])
    expect(request.headers).toMatchObject({
      host: `localhost:${port}`,
      'content-type': 'application/json',
      'content-length': '13',
      'idempotency-key': 'k',
      'user-agent': expect.stringMatching(/^taskmaster-reset\//),
    })
  })

  test('goes to the address that was judged, whatever the name means a moment later', async () => {
    const { port, seen } = await receiver((_, response) => response.end())
    let times = 0
    const changing: Lookup = async () => {
      times += 1
      return [{ address: times === 1 ? LOOPBACK : '169.254.169.254', family: 4 }]
    }
    expect(await asks(port, { lookup: changing })).toEqual({ status: 200 })
    const other: Lookup = async () => [{ address: '10.0.0.1', family: 4 }]
    expect(await asks(port, { lookup: other, allowed: [] })).toEqual({ refused: expect.any(String) })
    expect([times, seen.length]).toEqual([1, 1])
  })

  test('tries each address of a name', async () => {
    const { port } = await receiver((_, response) => response.end())
    const both: Lookup = async () => [
      { address: '::1', family: 6 },
      { address: LOOPBACK, family: 4 },
    ]
    expect(await asks(port, { lookup: both })).toEqual({ status: 200 })
  })

  test('that is refused connects to nothing', async () => {
    const { port, seen } = await receiver((_, response) => response.end())
    expect(await asks(port, { allowed: [] })).toEqual({
      refused: 'localhost, which is in a private network and is not one of ALLOWED_PRIVATE_HOSTS',
    })
    expect(seen).toEqual([])
  })

  test('follows no redirection: it is an answer', async () => {
    const inner = await receiver((_, response) => response.end())
    const { port } = await receiver((_, response) =>
      response.writeHead(307, { location: `https://localhost:${inner.port}/` }).end(),
    )
    expect(await asks(port)).toEqual({ status: 307 })
    expect(inner.seen).toEqual([])
  })

  test('passes by the proxy that the environment names', async () => {
    const proxy = await receiver((_, response) => response.end(), null)
    const { port } = await receiver((_, response) => response.end())
    for (const name of ['HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'ALL_PROXY'])
      vi.stubEnv(name, `http://${LOOPBACK}:${proxy.port}`)
    vi.stubEnv('NODE_USE_ENV_PROXY', '1')
    expect(await asks(port)).toEqual({ status: 200 })
    expect(proxy.seen).toEqual([])
  })

  test('is not made to who shows the certificate of another name, or one that nobody signed, whatever the environment says', async () => {
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0')
    const { port, seen } = await receiver((_, response) => response.end())
    const named = { host: 'ops.internal', allowed: [{ host: 'ops.internal', port: null }] }
    expect(await asks(port, named)).toEqual({
      failed: 'ops.internal could not be called (ERR_TLS_CERT_ALTNAME_INVALID)',
    })
    const stranger = await receiver((_, response) => response.end(), selfSigned())
    expect(await asks(stranger.port)).toEqual({
      failed: expect.stringMatching(/^localhost could not be called \(\w+\)$/),
    })
    expect([...seen, ...stranger.seen]).toEqual([])
  })

  test('has one deadline for all of it, also when the answer comes drop by drop, or the name is never found', async () => {
    const { port } = await receiver((_, response) => {
      response.writeHead(200)
      const drip = setInterval(() => response.write('.'), 10)
      response.on('close', () => clearInterval(drip))
    })
    const late = { failed: 'localhost did not answer within 0.1 s' }
    expect(await asks(port, { timeoutMs: 100 })).toEqual(late)
    expect(await asks(port, { timeoutMs: 100, lookup: () => new Promise(() => {}) })).toEqual(late)
    const silent = createSocket(() => {})
    const mute = await listen(silent)
    stops.push(() => silent.close())
    expect(await asks(mute, { timeoutMs: 100 })).toEqual(late)
    const ended = AbortSignal.timeout(20)
    expect(await asks(port, { signal: ended })).toEqual({ failed: 'localhost: the call was ended' })
  })

  test('waits for the end of an answer that is the log of what it had done, and not for one that never ends', async () => {
    let isDone = false
    const logging = await receiver((_, response) => {
      response.writeHead(200).write(Buffer.alloc(100_000))
      setTimeout(() => {
        isDone = !response.destroyed
        response.end(Buffer.alloc(1_000_000))
      }, 50)
    })
    expect([await asks(logging.port), isDone]).toEqual([{ status: 200 }, true])
    const endless = await receiver((_, response) => {
      const flood = () => {
        while (!response.destroyed && response.write(Buffer.alloc(65_536)));
      }
      response.on('drain', flood)
      flood()
    })
    expect(await asks(endless.port)).toEqual({ failed: 'localhost answered with more than 16 MiB' })
  })

  test('that ends in the middle of the answer, or with no HTTP, has failed', async () => {
    const cut = await receiver((_, response) => {
      response.writeHead(200, { 'content-length': '10' }).write('12')
      setTimeout(() => response.destroy(), 20)
    })
    expect(await asks(cut.port)).toEqual({ failed: expect.stringMatching(/^localhost could not be called/) })
    const none = await receiver((request) => request.socket.end('hunter2 hunter2\r\n\r\n'))
    const told = await asks(none.port)
    expect(told).toEqual({ failed: expect.stringMatching(/^localhost could not be called/) })
    expect(JSON.stringify(told)).not.toContain('hunter2')
    const upgrade = await receiver((_, response) =>
      response.writeHead(101, { upgrade: 'x', connection: 'upgrade' }).end(),
    )
    expect(await asks(upgrade.port)).toEqual({ failed: expect.any(String) })
  })

  test('to this machine may be plain, when that host is named', async () => {
    const { port, seen } = await receiver((_, response) => response.end(), null)
    expect(await asks(port, { protocol: 'http:' } as object)).toEqual({ status: 200 })
    expect(await asks(port, { protocol: 'http:', allowed: [] } as object)).toEqual({
      refused: expect.any(String),
    })
    expect(seen).toHaveLength(1)
  })
})

test('a signature is that of time and body, with the secret as it is written', () => {
  const headers = signed('s'.repeat(32), '{"a":1}', new Date('2026-11-26T21:00:00.999Z'))
  const expected = createHmac('sha256', 's'.repeat(32)).update('1795726800.{"a":1}').digest('hex')
  expect(headers).toEqual({ 'x-taskmaster-time': '1795726800', 'x-taskmaster-signature': `v1=${expected}` })
})
