import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { Readable } from 'node:stream'
import { S3Client } from '@aws-sdk/client-s3'
import * as z from 'zod'
import { StoreUnavailable } from '../../../lib/errors.ts'
import type { Bucket } from '../../../lib/s3/bucket.ts'
import { isEncryptedOrHere } from './address.ts'
import { type Api, Refused } from './client.ts'

/** Where a backup lies, and its documents, which are looked for by their names. */
export type Lies = { bucket: string; root: string; backupId: string; documents: readonly string[] }

type Asked = { path: string; query?: Record<string, unknown>; headers: Record<string, string> }
type Answered = { statusCode: number; headers: Record<string, string>; body: Readable }

const Presigned = z.object({ url: z.url() })

/** Milliseconds that S3 may say nothing. */
const silenceMs = 60_000

/**
 * The objects of one backup as a bucket: each is fetched from the address that the API gives for it, so that what reads backups
 * works without a right on the bucket. Of a listing there are only the documents.
 */
export function bucketOver(api: Api, lies: Lies): Bucket {
  const handle = async (asked: Asked) => ({ response: await answer(api, lies, asked) })
  const s3 = new S3Client({
    // Nothing is sent there: the handler below answers.
    ...{ endpoint: 'http://objects.invalid', region: 'us-east-1', forcePathStyle: true, maxAttempts: 8 },
    credentials: { accessKeyId: 'none', secretAccessKey: 'none' },
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      handle,
      httpHandlerConfigs: () => ({}),
      updateHttpClientConfig() {},
      destroy() {},
    } as never,
  })
  return { s3, name: lies.bucket }
}

async function answer(api: Api, lies: Lies, { path, query = {}, headers }: Asked): Promise<Answered> {
  const { bucket, root, backupId, documents } = lies
  if ('list-type' in query) return told(200, listing(String(query.prefix ?? ''), root, documents))
  const key = decodeURIComponent(path.slice(`/${bucket}/`.length))
  if (!key.startsWith(root)) return told(404, '<Error><Code>NoSuchKey</Code></Error>')
  const part = key.slice(root.length).split('/').map(encodeURIComponent).join('/')
  try {
    const { url } = await api.ask(
      'GET',
      `/v1/backups/${encodeURIComponent(backupId)}/parts/${part}`,
      Presigned,
    )
    return await fetched(new URL(url), headers.range ?? headers.Range)
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    if (error.name === 'NotFound') return told(404, '<Error><Code>NoSuchKey</Code></Error>')
    // Asked too often: the client waits, and asks again.
    if (error.name === 'TooManyRequests') return told(503, '<Error><Code>SlowDown</Code></Error>')
    throw error
  }
}

/** The bytes as they lie there: what a file says of its encoding is the application's. No token goes along. */
function fetched(url: URL, range: string | undefined): Promise<Answered> {
  if (!isEncryptedOrHere(url))
    throw new StoreUnavailable(
      `The API gives an address of ${url.hostname} that is not https://, which is not asked`,
    )
  const request = url.protocol === 'https:' ? requestHttps : requestHttp
  return new Promise((resolve, reject) => {
    const asked = request(
      url,
      { headers: range === undefined ? {} : { range }, timeout: silenceMs },
      (body) => {
        const headers = Object.fromEntries(
          Object.entries(body.headers).map(([name, value]) => [name, [value].flat().join(', ')]),
        )
        resolve({ statusCode: body.statusCode ?? 500, headers, body })
      },
    )
    asked.on('timeout', () => asked.destroy(new Error(`${url.hostname} says nothing`)))
    asked.on('error', reject)
    asked.end()
  })
}

function told(statusCode: number, body: string): Answered {
  return {
    statusCode,
    headers: { 'content-type': 'application/xml' },
    body: Readable.from([Buffer.from(body)]),
  }
}

function listing(prefix: string, root: string, documents: readonly string[]): string {
  const found = documents.map((document) => root + document).filter((key) => key.startsWith(prefix))
  const contents = found.map(
    (key) => `<Contents><Key>${encodeURIComponent(key)}</Key><Size>1</Size></Contents>`,
  )
  return `<ListBucketResult><IsTruncated>false</IsTruncated><EncodingType>url</EncodingType>${contents.join('')}</ListBucketResult>`
}
