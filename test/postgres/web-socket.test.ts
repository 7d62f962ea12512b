import { createHash, randomBytes } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import { createServer as createSecure } from 'node:https'
import { createServer as createPlain, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type WebSocket as ServerSide, WebSocketServer } from 'ws'
import { PostgresWebSocket } from '../../lib/postgres/web-socket.ts'
import { close, LOOPBACK, listen } from '../../local/loopback.ts'
import { selfSigned } from '../support/self-signed.ts'

async function startServer(onConnection: (side: ServerSide) => void, server: Server = createServer()) {
  const sockets = new WebSocketServer({ server, maxPayload: 2 ** 28 })
  sockets.on('connection', onConnection)
  const port = await listen(server)
  onTestFinished(async () => {
    for (const client of sockets.clients) client.terminate()
    await close(server)
  })
  return port
}

/** What answers a client with bytes of our own, without any server's help. */
async function answering(text: string): Promise<number> {
  const taken = new Set<Socket>()
  const server = createPlain((socket) => {
    taken.add(socket)
    socket.on('error', () => {})
    socket.once('data', () => socket.write(text))
  })
  const port = await listen(server)
  onTestFinished(async () => {
    for (const socket of taken) socket.destroy()
    await close(server)
  })
  return port
}

/** What takes a client, and reads nothing of what it says then. */
async function upgrading(use: (taken: Duplex) => void): Promise<number> {
  const server = createServer()
  server.on('upgrade', (request, taken) => {
    const key = `${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`
    const accepted = createHash('sha1').update(key).digest('base64')
    // White space on both sides of a value is allowed, and is no part of it.
    taken.write(`HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept:\t${accepted} \r\n\r\n`)
    taken.pause()
    taken.on('error', () => {})
    onTestFinished(() => void taken.destroy())
    use(taken)
  })
  const port = await listen(server)
  onTestFinished(() => close(server))
  return port
}

function open(address: string) {
  const socket = new PostgresWebSocket(address)
  const received: Buffer[] = []
  const happened: string[] = []
  socket.addEventListener('message', ({ data }) => received.push(data))
  socket.addEventListener('open', () => happened.push('open'))
  socket.addEventListener('error', ({ message }) => happened.push(message))
  socket.addEventListener('close', () => happened.push('close'))
  onTestFinished(() => socket.close())
  return { socket, happened, received: () => Buffer.concat(received) }
}

describe("the driver's WebSocket", () => {
  it('sends in one frame what is given to it at once, in its order, and what is large by itself', async () => {
    const frames: Buffer[] = []
    const port = await startServer((side) => side.on('message', (data) => frames.push(data as Buffer)))
    const { socket, happened } = open(`ws://${LOOPBACK}:${port}/v1`)
    await expect.poll(() => happened).toEqual(['open'])
    for (const text of ['parse', 'bind', 'execute']) socket.send(Buffer.from(text))
    expect(socket.bufferedAmount).toBe(16)
    socket.send(Buffer.alloc(20_000, '.'))
    socket.send(Buffer.from('sync'))
    socket.close()
    await expect.poll(() => frames.length).toBe(2)
    expect(frames.map(String)).toEqual([`parsebindexecute${'.'.repeat(20_000)}`, 'sync'])
  })

  it('carries bytes of any length there and back', async () => {
    const port = await startServer((side) => side.on('message', (data) => side.send(data)))
    const { socket, happened, received } = open(`ws://${LOOPBACK}:${port}/v1?a=b`)
    await expect.poll(() => happened).toEqual(['open'])
    const sent = [1, 125, 126, 65_535, 65_536, 3_000_001].map((size) => randomBytes(size))
    for (const bytes of sent) socket.send(bytes)
    await expect.poll(() => received().length).toBe(Buffer.concat(sent).length)
    expect(received().equals(Buffer.concat(sent))).toBe(true)
  })

  it('is one connection with the greeting that servers ask for', async () => {
    const seen: Record<string, string | string[] | undefined>[] = []
    const server = createServer()
    server.on('upgrade', ({ url, headers }) => seen.push({ url, ...headers }))
    const port = await startServer(() => {}, server)
    const { happened } = open(`ws://${LOOPBACK}:${port}/v2`)
    await expect.poll(() => happened).toEqual(['open'])
    expect(seen).toMatchObject([{ url: '/v2', host: `${LOOPBACK}:${port}`, upgrade: 'websocket' }])
  })

  it('answers a ping, so that nobody takes it for dead', async () => {
    const pongs: string[] = []
    const port = await startServer((side) => {
      side.on('pong', (data) => pongs.push(data.toString()))
      side.ping('still there?')
    })
    open(`ws://${LOOPBACK}:${port}`)
    await expect.poll(() => pongs).toEqual(['still there?'])
  })

  it('gives the last words of a server that closes, and then says so', async () => {
    const codes: number[] = []
    const port = await startServer((side) => {
      side.on('close', (code) => codes.push(code))
      side.send('terminating connection due to administrator command')
      side.close(1011)
    })
    const { happened, received } = open(`ws://${LOOPBACK}:${port}`)
    await expect.poll(() => happened).toEqual(['open', 'close'])
    expect(received().toString()).toBe('terminating connection due to administrator command')
    await expect.poll(() => codes.length).toBe(1)
  })

  it('is not broken by a server that says more after it has closed', async () => {
    const port = await startServer((side) => {
      const { _socket } = side as unknown as { _socket: Socket }
      _socket.write(Buffer.from([0x88, 0, 0x89, 0, 0x89, 0])) // closes, and pings twice
    })
    const { happened } = open(`ws://${LOOPBACK}:${port}`)
    await expect.poll(() => happened).toEqual(['open', 'close'])
  })

  it('ends soon after it is closed, also when the server goes on and on', { timeout: 15_000 }, async () => {
    const port = await upgrading((taken) => {
      const going = setInterval(() => taken.write(Buffer.from([0x82, 1, 0])), 100)
      taken.on('close', () => clearInterval(going))
    })
    const { socket, happened } = open(`ws://${LOOPBACK}:${port}`)
    await expect.poll(() => happened).toEqual(['open'])
    socket.close()
    await expect.poll(() => happened).toEqual(['open', 'close'])
  })

  it('ends when the server has, which takes nothing of what is still to be sent', async () => {
    const taken = Promise.withResolvers<Duplex>()
    const port = await upgrading(taken.resolve)
    const { socket, happened } = open(`ws://${LOOPBACK}:${port}`)
    await expect.poll(() => happened).toEqual(['open'])
    for (let megabytes = 0; megabytes < 20; megabytes++) socket.send(Buffer.alloc(2 ** 20))
    ;(await taken.promise).end()
    await expect.poll(() => happened).toEqual(['open', 'close'])
    expect(socket.bufferedAmount).toBe(0)
  })

  it('ends when it is closed, also while it is being opened, and when nobody answers to that', async () => {
    const port = await startServer(() => {})
    const { socket, happened } = open(`ws://${LOOPBACK}:${port}`)
    await expect.poll(() => happened).toEqual(['open'])
    socket.close()
    await expect.poll(() => happened).toEqual(['open', 'close'])

    const deaf = open(`ws://${LOOPBACK}:${await answering('')}`)
    deaf.socket.close()
    await expect.poll(() => deaf.happened).toEqual(['close'])
  })

  it('tells bytes to the tap before anybody else, until it has had enough', async () => {
    const port = await startServer((side) => side.on('message', (data) => side.send(data)))
    const { socket, happened, received } = open(`ws://${LOOPBACK}:${port}`)
    await expect.poll(() => happened).toEqual(['open'])
    let tapped = ''
    socket.tap = (bytes) => {
      const end = bytes.indexOf('.')
      tapped += bytes.toString('utf8', 0, end === -1 ? bytes.length : end)
      return end === -1 ? null : bytes.subarray(end + 1)
    }
    for (const text of ['one ', 'two.three ', 'four.']) socket.send(Buffer.from(text))
    await expect.poll(() => received().toString()).toBe('three four.')
    expect(tapped).toBe('one two')
  })

  it.each([
    ['refuses', 'HTTP/1.1 403 Forbidden\r\n\r\n', 'the WebSocket was refused: HTTP/1.1 403 Forbidden'],
    [
      'does not know what a WebSocket is',
      'HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: AAAA\r\n\r\n',
      'the WebSocket was refused: HTTP/1.1 101 Switching Protocols',
    ],
    ['speaks something else', `${'?'.repeat(20_000)}`, `the WebSocket was refused: ${'?'.repeat(100)}`],
  ])('fails with the reason when the server %s', async (_, answer, reason) => {
    const { happened } = open(`ws://${LOOPBACK}:${await answering(answer)}`)
    await expect.poll(() => happened).toEqual([reason, 'close'])
  })

  it('fails with the reason when nobody is there', async () => {
    const { happened } = open(`ws://${LOOPBACK}:9`)
    await expect.poll(() => happened).toEqual([`connect ECONNREFUSED ${LOOPBACK}:9`, 'close'])
  })

  it('says of a connection that breaks what broke it, as the driver does of one that ends', async () => {
    const server = createServer()
    let taken: Socket | undefined
    server.on('connection', (one: Socket) => (taken = one))
    const port = await startServer(() => {}, server)
    const { happened } = open(`ws://${LOOPBACK}:${port}`)
    await expect.poll(() => happened).toEqual(['open'])
    taken?.resetAndDestroy()
    await expect.poll(() => happened).toEqual(['open', 'Connection terminated: read ECONNRESET', 'close'])
  })

  it('is encrypted where the address says so, and trusts no certificate that nobody has signed', async (context) => {
    const certificate = selfSigned()
    if (!certificate) return context.skip('openssl, which makes the certificate, is not installed')
    const echo = (side: ServerSide) => side.on('message', (data) => side.send(data))
    const port = await startServer(echo, createSecure(certificate))
    const stranger = open(`wss://localhost:${port}/v2`)
    await expect
      .poll(() => stranger.happened)
      .toEqual([expect.stringContaining('self-signed certificate'), 'close'])

    const known = getCACertificates('default')
    onTestFinished(() => setDefaultCACertificates(known))
    setDefaultCACertificates([certificate.cert])
    const { socket, happened, received } = open(`wss://localhost:${port}/v2`)
    await expect.poll(() => happened).toEqual(['open'])
    const sent = randomBytes(1_000_000)
    socket.send(sent)
    await expect.poll(() => received().equals(sent)).toBe(true)
  })
})
