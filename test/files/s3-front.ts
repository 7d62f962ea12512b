import { createServer, type IncomingHttpHeaders, request as send } from 'node:http'
import { close, listen } from '../../local/loopback.ts'

/** A request as it is on its way to S3. `key` is decoded; empty for requests to a bucket. */
export type S3Request = {
  method: string
  path: string
  bucket: string
  key: string
  query: URLSearchParams
  headers: IncomingHttpHeaders
  body: string
  raw: Buffer
  /** Whether its client has closed the connection. */
  isGone: () => boolean
}
/** With `cutAt` the connection breaks after so many bytes of the body; `chunked`: its length is not said. */
export type S3Answer = {
  status: number
  headers?: IncomingHttpHeaders
  body: Buffer | string
  cutAt?: number
  chunked?: boolean
}

/** A fault: looks at a request, and may answer it, or change the answer, or do something else meanwhile. */
export type Fault = (
  request: S3Request,
  forward: () => Promise<S3Answer>,
) => Promise<S3Answer | 'drop' | undefined> | S3Answer | 'drop' | undefined

/**
 * A server in front of the embedded S3 that puts in the faults of a network or a server. `conditions` off: like a server
 * that ignores ETags and `If-None-Match`.
 */
export async function startFront(upstream: string) {
  const front = {
    url: '',
    faults: [] as Fault[],
    conditions: true,
    /** Each request that arrived, as "METHOD key?query". */
    seen: [] as string[],
    /** Requests that have arrived and are not answered yet. */
    atWork: 0,
    stop: async () => {
      const closed = close(server)
      server.closeAllConnections()
      await closed
    },
  }
  const server = createServer(async (incoming, outgoing) => {
    front.atWork++
    outgoing.on('close', () => front.atWork--)
    const chunks: Buffer[] = []
    for await (const chunk of incoming) chunks.push(chunk)
    const raw = Buffer.concat(chunks)
    const [path = '', query = ''] = (incoming.url ?? '').split('?')
    const [bucket = '', ...key] = path.slice(1).split('/')
    const request: S3Request = {
      method: incoming.method ?? 'GET',
      path: incoming.url ?? '',
      bucket,
      key: decodeURIComponent(key.join('/')),
      query: new URLSearchParams(query),
      headers: incoming.headers,
      body: raw.toString('utf8'),
      raw,
      isGone: () => incoming.socket.destroyed,
    }
    front.seen.push(`${request.method} ${request.key}?${query}`)
    let answer: S3Answer | 'drop' | undefined
    for (const fault of front.faults) {
      answer = await fault(request, () => pass(request))
      if (answer !== undefined) break
    }
    answer ??= await pass(request)
    if (answer === 'drop') return void incoming.socket.destroy()
    const headers = { ...answer.headers }
    delete headers['transfer-encoding']
    delete headers.connection
    if (answer.chunked) delete headers['content-length']
    else if (request.method !== 'HEAD') headers['content-length'] = String(Buffer.byteLength(answer.body))
    outgoing.writeHead(answer.status, headers)
    if (answer.cutAt === undefined) return void outgoing.end(answer.body)
    outgoing.write(Buffer.from(answer.body).subarray(0, answer.cutAt), () => incoming.socket.destroy())
  })
  front.url = `http://127.0.0.1:${await listen(server)}`
  return front

  async function pass(request: S3Request): Promise<S3Answer> {
    if (front.conditions) return await forward(upstream, request)
    const {
      'if-match': _,
      'if-none-match': __,
      'x-amz-copy-source-if-match': ___,
      ...headers
    } = request.headers
    const raw = isBulkDelete(request)
      ? Buffer.from(request.body.replaceAll(/<ETag>.*?<\/ETag>/gs, ''))
      : request.raw
    return await forward(upstream, { ...request, headers, raw })
  }
}

/**
 * Holds the first request that matches, as a network may, until it is let go; then it is passed on. `arrived` resolves when
 * it is there. One whose client has gone meanwhile is not passed on: nobody sends it any more.
 */
export function holding(matches: (request: S3Request) => boolean) {
  const arrived = Promise.withResolvers<S3Request>()
  const released = Promise.withResolvers<void>()
  let isHeld = false
  const fault: Fault = async (request) => {
    if (isHeld || !matches(request)) return undefined
    isHeld = true
    arrived.resolve(request)
    await released.promise
    return request.isGone() ? 'drop' : undefined
  }
  return { fault, arrived: arrived.promise, release: () => released.resolve() }
}

/** Listings in pages of `keys`, so that a test of paging needs no thousands of objects. */
export function smallPages(keys: number): Fault {
  return (request) => {
    if (request.query.has('list-type')) request.path += `&max-keys=${keys}`
    return undefined
  }
}

export function isBulkDelete({ method, query }: S3Request): boolean {
  return method === 'POST' && query.has('delete')
}

/** The objects named in the body of DeleteObjects: the XML element, the key, the ETag. */
export function objectsIn(body: string): [element: string, key: string, etag: string | undefined][] {
  return [...body.matchAll(/<Object>.*?<\/Object>/gs)].map(([element]) => [
    element,
    unescapeXml(/<Key>(.*?)<\/Key>/s.exec(element)?.[1] ?? ''),
    /<ETag>(.*?)<\/ETag>/s.exec(element)?.[1] === undefined
      ? undefined
      : unescapeXml(/<ETag>(.*?)<\/ETag>/s.exec(element)?.[1] ?? ''),
  ])
}

export function errorElement(key: string, code: string): string {
  return `<Error><Key>${escapeXml(key)}</Key><Code>${code}</Code><Message>injected</Message></Error>`
}

export function s3Error(status: number, code: string): S3Answer {
  const body = `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>injected</Message></Error>`
  return { status, headers: { 'content-type': 'application/xml' }, body }
}

/** With its path as it came: fetch would resolve "..", and other odd keys would not arrive as they are. */
function forward(
  upstream: string,
  request: Pick<S3Request, 'method' | 'path' | 'headers' | 'raw'>,
): Promise<S3Answer> {
  const { hostname, port } = new URL(upstream)
  const headers = { ...request.headers, 'content-length': String(request.raw.length) }
  delete (headers as IncomingHttpHeaders)['transfer-encoding']
  delete (headers as IncomingHttpHeaders).expect
  return new Promise((resolve, reject) => {
    const outgoing = send(
      { hostname, port, method: request.method, path: request.path, headers },
      async (incoming) => {
        const chunks: Buffer[] = []
        for await (const chunk of incoming) chunks.push(chunk)
        resolve({
          status: incoming.statusCode ?? 500,
          headers: incoming.headers,
          body: Buffer.concat(chunks),
        })
      },
    )
    outgoing.on('error', reject).end(request.raw)
  })
}

function unescapeXml(text: string): string {
  return text
    .replace(/&#x([0-9a-f]+);/gi, (_, hex: string) => String.fromCodePoint(Number.parseInt(hex, 16)))
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&apos;', "'")
    .replaceAll('&amp;', '&')
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
