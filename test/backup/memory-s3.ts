import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { S3Client } from '@aws-sdk/client-s3'
import { escapeXml } from '../../local/s3/xml.ts'
import type { Objects } from './real-backups.ts'

export const bucket = 'backups'

type Request = { method: string; path: string; query: Record<string, string> }
type Answer = { statusCode: number; headers: Record<string, string>; body: Readable }

/**
 * A real S3 client whose requests are answered in this process, from the objects it is given: damage costs nothing, so
 * thousands of damaged backups can be read. It knows GET and HEAD of an object and ListObjectsV2, and refuses the rest.
 */
export function memoryS3() {
  const memory = {
    objects: new Map() as Objects,
    /** ETags that are not the MD5 of the bytes. */
    etags: new Map<string, string>(),
    /** More headers of a key's answer. */
    headers: new Map<string, Record<string, string>>(),
    /** Takes over the answer of a request when it gives one. */
    fault: undefined as undefined | ((request: Request) => Answer | undefined),
    seen: [] as string[],
  }
  const etagOf = (key: string, body: Buffer) =>
    memory.etags.get(key) ?? `"${createHash('md5').update(body).digest('hex')}"`

  function answer(request: Request): Answer {
    const key = decodeURIComponent(request.path.slice(`/${bucket}/`.length))
    memory.seen.push(`${request.method} ${key || JSON.stringify(request.query)}`)
    const faulty = memory.fault?.(request)
    if (faulty !== undefined) return faulty
    if (request.method === 'GET' && request.query['list-type'] === '2') return list(request.query)
    if (!['GET', 'HEAD'].includes(request.method) || key === '')
      throw new Error(`The S3 in memory does not know ${request.method} ${request.path}.`)
    const body = memory.objects.get(key)
    if (body === undefined)
      return xml(404, '<Error><Code>NoSuchKey</Code><Message>No such key</Message></Error>')
    const headers = {
      etag: etagOf(key, body),
      'content-length': String(body.length),
      ...memory.headers.get(key),
    }
    return { statusCode: 200, headers, body: Readable.from(request.method === 'HEAD' ? [] : [body]) }
  }

  function list(query: Record<string, string>): Answer {
    const { prefix = '', delimiter, 'encoding-type': encoding } = query
    const after = query['continuation-token'] ?? query['start-after'] ?? ''
    const keys = inOrder(memory.objects.keys()).filter(
      (key) =>
        key.startsWith(prefix) && (after === '' || Buffer.compare(Buffer.from(key), Buffer.from(after)) > 0),
    )
    const write = (text: string) =>
      escapeXml(
        encoding === 'url' ? encodeURIComponent(text).replaceAll('%2F', '/').replaceAll('%20', '+') : text,
      )
    const groups = new Set<string>()
    const page: string[] = []
    for (const key of keys.slice(0, 1000)) {
      const end = delimiter === undefined ? -1 : key.indexOf(delimiter, prefix.length)
      if (end >= 0) groups.add(key.slice(0, end + 1))
      else page.push(key)
    }
    const contents = page.map((key) => {
      const body = memory.objects.get(key) as Buffer
      const about = `<ETag>${escapeXml(etagOf(key, body))}</ETag><Size>${body.length}</Size>`
      return `<Contents><Key>${write(key)}</Key><LastModified>2026-11-22T00:00:00.000Z</LastModified>${about}</Contents>`
    })
    const prefixes = [...groups].map(
      (group) => `<CommonPrefixes><Prefix>${write(group)}</Prefix></CommonPrefixes>`,
    )
    const last = keys[999]
    const more =
      keys.length > 1000 && last !== undefined
        ? `<IsTruncated>true</IsTruncated><NextContinuationToken>${escapeXml(last)}</NextContinuationToken>`
        : '<IsTruncated>false</IsTruncated>'
    const type = encoding === 'url' ? '<EncodingType>url</EncodingType>' : ''
    return xml(
      200,
      `<ListBucketResult>${more}${type}${contents.join('')}${prefixes.join('')}</ListBucketResult>`,
    )
  }

  const s3 = new S3Client({
    endpoint: 'http://s3.invalid',
    region: 'eu-central-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    forcePathStyle: true,
    maxAttempts: 1,
    // biome-ignore lint/suspicious/noExplicitAny: the SDK's types of a request and an answer are in no package of ours
    requestHandler: { handle: async (request: Request) => ({ response: answer(request) }) } as any,
  })
  return Object.assign(memory, { storage: { s3, bucket } })
}

export function xml(statusCode: number, body: string): Answer {
  return {
    statusCode,
    headers: { 'content-type': 'application/xml' },
    body: Readable.from([Buffer.from(body)]),
  }
}

function inOrder(keys: Iterable<string>): string[] {
  return [...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
}
