import { createServer, type IncomingHttpHeaders, request as send } from 'node:http'
import { close, listen } from '../../local/loopback.ts'
import { S3Store } from '../../node_modules/fauxqs/dist/s3/s3Store.js'

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
}
export type S3Answer = { status: number; headers?: IncomingHttpHeaders; body: Buffer | string }

/** A fault: looks at a request, and may answer it, or change the answer, or do something else meanwhile. */
export type Fault = (
  request: S3Request,
  forward: () => Promise<S3Answer>,
) => Promise<S3Answer | 'drop' | undefined> | S3Answer | 'drop' | undefined

/**
 * A server in front of fauxqs that does what S3 does and fauxqs does not (conditions, URL-encoded listings), and puts in
 * the faults of a network or a server. `conditions` off: like a server that ignores them.
 */
export async function startFront(upstream: string) {
  const front = {
    url: '',
    faults: [] as Fault[],
    conditions: true,
    /** Each request that arrived, as "METHOD key?query". */
    seen: [] as string[],
    stop: async () => {
      const closed = close(server)
      server.closeAllConnections()
      await closed
    },
  }
  const server = createServer(async (incoming, outgoing) => {
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
    }
    front.seen.push(`${request.method} ${request.key}?${query}`)
    let answer: S3Answer | 'drop' | undefined
    for (const fault of front.faults) {
      answer = await fault(request, () => asS3(request))
      if (answer !== undefined) break
    }
    answer ??= await asS3(request)
    if (answer === 'drop') return void incoming.socket.destroy()
    const headers = { ...answer.headers }
    delete headers['transfer-encoding']
    delete headers.connection
    if (request.method !== 'HEAD') headers['content-length'] = String(Buffer.byteLength(answer.body))
    outgoing.writeHead(answer.status, headers).end(answer.body)
  })
  front.url = `http://127.0.0.1:${await listen(server)}`
  return front

  async function asS3(request: S3Request): Promise<S3Answer> {
    if (front.conditions) {
      if (request.headers['if-none-match'] === '*' && (await etagOf(request.bucket, request.key)))
        return precondition
      const source = request.headers['x-amz-copy-source-if-match']
      if (source !== undefined) {
        const [bucket = '', ...key] = String(request.headers['x-amz-copy-source']).split('/')
        const present = await etagOf(bucket, decodeURIComponent(key.join('/')))
        if (present !== undefined && present !== source) return precondition
      }
      const match = request.headers['if-match']
      if (match !== undefined) {
        const present = await etagOf(request.bucket, request.key)
        if (present !== undefined && present !== match) return precondition
      }
      if (isBulkDelete(request)) return await deleteBulk(request)
    }
    const answer = await forward(upstream, request)
    return request.query.get('encoding-type') === 'url' ? encodeListing(answer) : answer
  }

  async function deleteBulk(request: S3Request): Promise<S3Answer> {
    const errors: string[] = []
    const kept: string[] = []
    for (const [element, key, etag] of objectsIn(request.body)) {
      const present = etag === undefined ? undefined : await etagOf(request.bucket, key)
      if (present === undefined || present === etag) kept.push(element)
      else errors.push(errorElement(key, 'PreconditionFailed'))
    }
    const body = `<Delete><Quiet>true</Quiet>${kept.join('')}</Delete>`
    const answer = await forward(upstream, { ...request, raw: Buffer.from(body) })
    return {
      ...answer,
      body: answer.body.toString().replace('</DeleteResult>', `${errors.join('')}</DeleteResult>`),
    }
  }

  async function etagOf(bucket: string, key: string): Promise<string | undefined> {
    const path = `/${bucket}/${key.split('/').map(encodeURIComponent).join('/')}`
    const answer = await forward(upstream, { method: 'HEAD', path, headers: {}, raw: Buffer.alloc(0) })
    return answer.status === 200 ? String(answer.headers?.etag) : undefined
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

const precondition = s3Error(412, 'PreconditionFailed')

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

/** As S3 does when asked for EncodingType "url": like a form, but "/" stays. */
function encodeListing(answer: S3Answer): S3Answer {
  const body = answer.body
    .toString()
    .replace(/<Key>(.*?)<\/Key>/gs, (_, key: string) => {
      const encoded = encodeURIComponent(unescapeXml(key)).replaceAll('%2F', '/').replaceAll('%20', '+')
      return `<Key>${encoded}</Key>`
    })
    .replace('</ListBucketResult>', '<EncodingType>url</EncodingType></ListBucketResult>')
  return { ...answer, body }
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

type Listing = { prefix?: string; maxKeys?: number; startAfter?: string }
type Store = {
  buckets: Map<string, Map<string, unknown>>
  listObjects: (bucket: string, options?: Listing) => unknown
}

/**
 * fauxqs sorts a listing as a dictionary does and pages through it as a computer does, so that of more than 1,000
 * objects with capitals in their keys some are never listed. S3 does both by the bytes of UTF-8.
 */
export function sortListingsAsS3Does(): void {
  const prototype = S3Store.prototype as unknown as Store
  const original = prototype.listObjects
  prototype.listObjects = function listObjects(this: Store, bucket, options = {}) {
    const objects = this.buckets.get(bucket)
    if (objects === undefined) return original.call(this, bucket, options)
    const { prefix = '', startAfter = '', maxKeys = 1000 } = options
    const after = Buffer.from(startAfter)
    const keys = [...objects.keys()]
      .filter((key) => key.startsWith(prefix))
      .map((key) => Buffer.from(key))
      .filter((key) => Buffer.compare(key, after) > 0)
      .sort(Buffer.compare)
    return {
      objects: keys.slice(0, maxKeys).map((key) => objects.get(key.toString())),
      commonPrefixes: [],
      isTruncated: keys.length > maxKeys,
    }
  }
}
