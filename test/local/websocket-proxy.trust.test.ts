import { createHash, randomBytes } from 'node:crypto'
import { createServer, type Server, type Socket } from 'node:net'
import { Client, neonConfig } from '@neondatabase/serverless'
import { afterAll, beforeAll, expect, inject, test, vi } from 'vitest'
import { WebSocket } from 'ws'
import { createDatabase, dropDatabase } from '../../local/database/postgres.ts'
import { postgresTarget } from '../../local/database/socket.ts'
import { startWebSocketProxy, type WebSocketProxy } from '../../local/database/websocket-proxy.ts'
import { close, LOOPBACK, listen } from '../../local/loopback.ts'
import { selfSigned } from '../support/self-signed.ts'
import { inFullForm, isFull, rounds } from '../support/trust.ts'

const MB = 1024 * 1024
let url: string
let proxy: WebSocketProxy

beforeAll(async () => {
  url = await createDatabase(inject('postgresAdminUrl'))
  proxy = await startWebSocketProxy(postgresTarget(url))
  neonConfig.wsProxy = () => `${proxy.address}/v1`
  neonConfig.useSecureWebSocket = false
  neonConfig.pipelineTLS = false
  neonConfig.pipelineConnect = false
})
afterAll(async () => {
  await proxy.stop()
  await dropDatabase(inject('postgresAdminUrl'), url)
})

async function connect(connectionString = url): Promise<Client> {
  const client = new Client({ connectionString })
  client.on('error', () => {})
  await client.connect()
  return client
}

test('the Neon driver talks to a plain PostgreSQL, as a role without special rights', async () => {
  const client = await connect()
  const { rows } = await client.query(
    'SELECT rolsuper, rolbypassrls, pg_get_userbyid(datdba) = current_user AS owner FROM pg_roles, pg_database ' +
      'WHERE rolname = current_user AND datname = current_database()',
  )
  expect(rows).toEqual([{ rolsuper: false, rolbypassrls: false, owner: true }])
  await client.end()
})

test('a value of many MB goes in and out unchanged', async () => {
  const client = await connect()
  const value = randomBytes(rounds({ short: 4, full: 25 }) * MB).toString('hex')
  const md5 = createHash('md5').update(value).digest('hex')
  const { rows } = await client.query('SELECT $1::text AS value, md5($1::text) AS md5', [value])
  expect(rows[0]?.md5).toBe(md5)
  expect(rows[0]?.value === value).toBe(true)
  await client.end()
})

test('a transaction that a client leaves behind is rolled back', async () => {
  const [leaving, staying] = [await connect(), await connect()]
  await staying.query('CREATE TABLE left_behind (id int)')
  await leaving.query('BEGIN')
  await leaving.query('LOCK TABLE left_behind IN ACCESS EXCLUSIVE MODE')
  await leaving.end()
  await staying.query("SET lock_timeout = '30s'")
  await expect(staying.query('SELECT count(*) FROM left_behind')).resolves.toBeDefined()
  await staying.end()
})

test('the end of a connection on the server reaches the client', async () => {
  const [victim, other] = [await connect(), await connect()]
  const { rows } = await victim.query('SELECT pg_backend_pid() AS pid')
  const ended = new Promise((resolve) => victim.once('end', resolve))
  await other.query('SELECT pg_terminate_backend($1)', [rows[0]?.pid])
  await ended
  await other.end()
})

test('what is asked after the server has ended the connection fails at once: nothing waits for a timer', async () => {
  const { setTimeout } = globalThis
  vi.useFakeTimers({ toFake: ['setTimeout'] }) // no time passes, also for the library's own time-out of a closing
  const { target, stop } = await fakeDatabase((socket) => {
    socket.once('data', () => socket.end('the last words')) // and what comes afterwards is for nobody
  })
  const between = await startWebSocketProxy(target)
  const client = new WebSocket(`ws://${between.address}`)
  const closed = new Promise<string>((resolve) => client.once('close', () => resolve('closed')))
  client.once('open', () => client.send('one'))
  client.once('message', () => {
    for (let i = 0; i < 20; i++) client.send(Buffer.alloc(64 * 1024))
  })
  const late = new Promise<string>((resolve) => setTimeout(resolve, 30_000, 'open after 30 s'))
  const ended = await Promise.race([closed, late]).finally(() => vi.useRealTimers())
  expect(ended).toBe('closed')
  await between.stop()
  await stop()
})

test('it forwards to its own target, whatever address the client asks for', async () => {
  neonConfig.wsProxy = (host) => `${proxy.address}/v1?address=${host}`
  const elsewhere = Object.assign(new URL(url), { host: '192.0.2.1:1' }).href
  const client = await connect(elsewhere)
  expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }])
  await client.end()
})

test('a web page may not use it', async () => {
  const page = new WebSocket(`ws://${proxy.address}/v1`, { origin: 'https://example.com' })
  await expect(new Promise((_, reject) => page.once('error', reject))).rejects.toThrow('401')
})

test.runIf(isFull)(
  `a side that reads slowly slows the other one down, in both directions ${inFullForm}`,
  async () => {
    const sent = { byServer: 0 }
    let received = 0
    let reading: Socket | undefined
    const { target, stop } = await fakeDatabase((socket) => {
      reading = socket.pause()
      socket.on('data', (chunk) => (received += chunk.length))
      socket.pause()
      const chunk = Buffer.alloc(MB)
      const write = () => {
        while (sent.byServer < 200 && socket.write(chunk)) sent.byServer += 1
      }
      socket.on('drain', write)
      write()
    })
    const slow = await startWebSocketProxy(target)
    const client = new WebSocket(`ws://${slow.address}`)
    await new Promise((resolve) => client.once('open', resolve))
    client.pause()
    for (let sentByClient = 0; sentByClient < 100; sentByClient++) client.send(Buffer.alloc(MB))
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect(sent.byServer).toBeLessThan(60)
    expect(client.bufferedAmount).toBeGreaterThan(40 * MB)

    let toClient = 0
    client.on('message', (data: Buffer) => (toClient += data.length))
    client.resume()
    reading?.resume()
    await expect.poll(() => [toClient >= 200 * MB, received], { timeout: 120_000 }).toEqual([true, 100 * MB])
    client.terminate()
    await slow.stop()
    await stop()
  },
)

test('sslmode in the URL decides whether the way to the database is encrypted', async (context) => {
  const certificate = selfSigned()
  if (!certificate) context.skip('openssl, which makes the certificate, is not installed')
  const tls = await import('node:tls')
  const { target, stop } = await fakeDatabase((socket) => {
    socket.once('data', (request) => {
      if (request.length !== 8) return void socket.end('plain')
      socket.write('S')
      const encrypted = new tls.TLSSocket(socket, { isServer: true, ...certificate })
      encrypted.on('error', () => {})
      encrypted.on('secure', () => encrypted.end('encrypted'))
    })
  })
  const answers: Record<string, string> = {}
  for (const mode of ['disable', 'require', 'verify-full']) {
    const { tls } = postgresTarget(`postgres://u:p@localhost:${target.port}/d?sslmode=${mode}`)
    const between = await startWebSocketProxy({ ...target, tls })
    answers[mode] = await new Promise((resolve) => {
      const client = new WebSocket(`ws://${between.address}`)
      client.on('open', () => client.send('a startup packet'))
      client.on('message', (data) => resolve(String(data)))
      client.on('close', (_, reason) => resolve(String(reason)))
    })
    await between.stop()
  }
  expect(answers).toMatchObject({ disable: 'plain', require: 'encrypted' })
  expect(answers['verify-full']).toMatch(/self.signed/)
  await stop()
})

async function fakeDatabase(onConnection: (socket: Socket) => void) {
  const sockets = new Set<Socket>()
  const server: Server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    onConnection(socket)
  })
  const port = await listen(server)
  async function stop(): Promise<void> {
    for (const socket of sockets) socket.destroy()
    await close(server)
  }
  return { target: { host: LOOPBACK, port, tls: undefined }, stop }
}
