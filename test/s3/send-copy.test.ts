import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, createServer } from 'node:net'
import { S3Client } from '@aws-sdk/client-s3'
import { describe, expect, test } from 'vitest'
import { copySourceHeader } from '../../lib/s3/copy-source.ts'
import { sendCopy } from '../../lib/s3/send-copy.ts'
import { listen } from '../../local/loopback.ts'
import { useFiles } from '../files/files-stack.ts'
import { oddKeys } from '../files/odd-keys.ts'
import { type S3Answer, s3Error } from '../files/s3-front.ts'
import { authorizationOf } from './signature.ts'

const stack = useFiles()
const { signal } = new AbortController()

/** A client that nobody had before, of somebody with a session, and what it says that is signed. */
function session(endpoint = stack.front.url) {
  const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret/+=', sessionToken: 'token/+=' }
  const client = new S3Client({
    endpoint,
    region: 'eu-central-1',
    credentials,
    forcePathStyle: true,
    maxAttempts: 2,
  })
  const copy = (key: string, more = {}) =>
    sendCopy(
      client,
      {
        Bucket: 'backups',
        Key: key,
        CopySource: copySourceHeader({ bucket: 'files', key }),
        IfNoneMatch: '*',
        ...more,
      },
      signal,
    )
  return { ...credentials, copy }
}

type Sent = { path: string; headers: Record<string, string | string[] | undefined> }

/** The copies that arrive, as they were sent. */
function watch(): Sent[] {
  const sent: Sent[] = []
  stack.front.faults = [
    ({ path, headers }) => {
      if (headers['x-amz-copy-source'] !== undefined) sent.push({ path, headers })
      return undefined
    },
  ]
  return sent
}

const isOfSdk = ({ headers }: Sent) => headers['amz-sdk-invocation-id'] !== undefined

/** The signature that S3 makes of what arrives. */
function signed({ path, headers }: Sent, keys: { accessKeyId: string; secretAccessKey: string }): string {
  const [, scope = '', names = ''] =
    /Credential=[^/]+\/([^,]+), SignedHeaders=([^,]+)/.exec(String(headers.authorization)) ?? []
  const [before = '', query = ''] = path.split('?')
  const those = Object.fromEntries(names.split(';').map((name) => [name, String(headers[name])]))
  return authorizationOf({ ...keys, scope }, { method: 'PUT', path: before, query, headers: those })
}

describe('a copy that is modelled on the first one', () => {
  test('the signature that is expected here is the one that the SDK makes, whatever the key', async () => {
    await stack.putMany(oddKeys)
    const sent = watch()
    for (const key of oddKeys) {
      const { copy, ...keys } = session() // whose first copy is the SDK's
      await copy(key)
      const one = sent.at(-1) as Sent
      expect(isOfSdk(one)).toBe(true)
      expect(signed(one, keys)).toBe(one.headers.authorization)
    }
  })

  test('it goes where the first one went, and says the same with another key', async () => {
    await stack.putMany(['first', ...oddKeys])
    const sent = watch()
    const { copy, ...keys } = session()
    await copy('first')
    for (const key of oddKeys) {
      expect(await copy(key, { StorageClass: 'STANDARD_IA' })).toMatch(/^"[0-9a-f]{32}"$/)
      expect(await stack.get(key, 'backups')).toBe(key)
    }
    const [first, ...others] = sent as [Sent, ...Sent[]]
    expect(others.filter(isOfSdk)).toEqual([])
    for (const [index, one] of others.entries()) {
      expect(signed(one, keys)).toBe(one.headers.authorization)
      expect(one.headers['content-length']).toBe(first.headers['content-length'])
      expect(one.headers['x-amz-security-token']).toBe(keys.sessionToken)
      expect(one.headers['x-amz-copy-source']).toBe(
        copySourceHeader({ bucket: 'files', key: oddKeys[index] as string }),
      )
    }
  })

  test.each<[string, () => S3Answer | 'drop', number?]>([
    ['a connection that breaks twice', () => 'drop', 2],
    ['a request to slow down', () => s3Error(503, 'SlowDown')],
    ['an error within a success', () => ({ ...s3Error(500, 'InternalError'), status: 200 })],
    ['a success without an ETag', () => ({ status: 200, body: '<CopyObjectResult></CopyObjectResult>' })],
    ['a refusal without a reason', () => ({ status: 404, body: 'not found' })],
    ['a session that is over', () => s3Error(403, 'ExpiredToken')],
  ])('%s is left to the SDK, and so are the next ones', async (_, fault, times = 1) => {
    await stack.putMany(['a', 'b', 'c', 'd'])
    const sent = watch()
    const { copy } = session()
    await copy('a')
    await copy('b')
    let failed = 0
    stack.front.faults.push(({ key }) => (key === 'c' && failed++ < times ? fault() : undefined))
    for (const key of ['c', 'd']) expect(await copy(key)).toMatch(/^"/)
    expect(sent.map(isOfSdk)).toEqual([true, false, ...Array(times).fill(false), true, true])
  })

  test('an answer that leaves HTTP ends at once, and is left to the SDK', async () => {
    const upgrade = 'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: other\r\n\r\n'
    const xml = '<CopyObjectResult><ETag>"0123"</ETag></CopyObjectResult>'
    const success = `HTTP/1.1 200 OK\r\ncontent-length: ${xml.length}\r\n\r\n${xml}`
    let requests = 0
    const server = createServer((socket) => {
      socket.on('data', () => socket.write(++requests === 2 ? upgrade : success))
      socket.on('error', () => {}) // its client goes away
    })
    const { copy } = session(`http://127.0.0.1:${await listen(server)}`)
    for (const key of ['a', 'b', 'c']) expect(await copy(key)).toBe('"0123"')
    expect(requests).toBe(4)
    server.close()
  })

  test('over a socket that its server has closed it is sent once more, and the SDK is not asked', async () => {
    const sent: string[] = []
    const server = createHttpServer((incoming, outgoing) => {
      const isOfSdk = incoming.headers['amz-sdk-invocation-id'] !== undefined
      sent.push(`${incoming.url?.split('?')[0]} ${isOfSdk}`)
      if (sent.length === 3) return void incoming.socket.destroy()
      outgoing.end('<CopyObjectResult><ETag>"0123"</ETag></CopyObjectResult>')
    })
    const { copy } = session(`http://127.0.0.1:${await listen(server)}`)
    for (const key of ['a', 'b', 'c', 'd']) expect(await copy(key)).toBe('"0123"')
    expect(sent).toEqual(
      ['a true', 'b false', 'c false', 'c false', 'd false'].map((one) => `/backups/${one}`),
    )
    server.closeAllConnections()
    server.close()
  })

  test('it goes to an address of IPv6 as well', async () => {
    await stack.putMany(['a', 'b'])
    const sent: boolean[] = []
    const server = createHttpServer((incoming, outgoing) => {
      sent.push(incoming.headers['amz-sdk-invocation-id'] !== undefined)
      outgoing.end('<CopyObjectResult><ETag>"0123"</ETag></CopyObjectResult>')
    })
    await once(server.listen(0, '::1'), 'listening')
    const { copy } = session(`http://[::1]:${(server.address() as AddressInfo).port}`)
    for (const key of ['a', 'b']) expect(await copy(key)).toBe('"0123"')
    expect(sent).toEqual([true, false])
    server.closeAllConnections()
    server.close()
  })

  test.each(['"', '&quot;', '&#34;', '&#x22;'])(
    'its ETag is read however XML writes the quotes: %s',
    async (quote) => {
      await stack.putMany(['a', 'b'])
      const { copy } = session()
      await copy('a')
      const body = `<CopyObjectResult><ETag>${quote}0123${quote}</ETag></CopyObjectResult>`
      stack.front.faults = [({ key }) => (key === 'b' ? { status: 200, body } : undefined)]
      expect(await copy('b')).toBe('"0123"')
    },
  )

  test('what S3 refuses is refused once, by the name that it gives', async () => {
    await stack.putMany(['a', 'b'])
    const sent = watch()
    const { copy } = session()
    await copy('a')
    await copy('b')
    await expect(copy('b')).rejects.toMatchObject({
      name: 'PreconditionFailed',
      $metadata: { httpStatusCode: 412 },
    })
    await expect(copy('gone')).rejects.toMatchObject({
      name: 'NoSuchKey',
      $metadata: { httpStatusCode: 404 },
    })
    expect(sent.map(isOfSdk)).toEqual([true, false, false, false])
  })
})
