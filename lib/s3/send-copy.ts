import type { IncomingMessage } from 'node:http'
import {
  CopyObjectCommand,
  type CopyObjectCommandInput,
  type S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3'

/** What of CopyObject is asked for: these alone go into a request of our own. */
export type CopyInput = Pick<
  CopyObjectCommandInput,
  'Bucket' | 'Key' | 'CopySource' | 'CopySourceIfMatch' | 'IfMatch' | 'IfNoneMatch' | 'StorageClass'
>

/** A request as the SDK's handler takes it. */
type Request = {
  protocol: string
  hostname: string
  port?: number
  method: string
  path: string
  query: Record<string, string>
  headers: Record<string, string>
}

/** What the SDK made of a copy, and all copies into a bucket have: where they go, and for whom they are signed. */
type Model = {
  address: Pick<Request, 'protocol' | 'hostname' | 'port' | 'query'>
  host: string
  /** What stands before the key. */
  path: string
  userAgent: string
  /** That it is signed for. */
  region: string
}

/** Of a client and a bucket: `model` is null when there can be none; before `pausedUntil` the SDK sends all. */
type Known = { model?: Model | null; pausedUntil: number }
const knownOf = new WeakMap<S3Client, Map<string, Known>>()

/** Milliseconds; in them the SDK finds the rate at which S3 answers, which it does not for requests that are not its own. */
const pause = 60_000

/** What S3 says of a copy that was refused for good, and nothing of S3 or of this request. */
const answers = new Set([404, 409, 412])

/**
 * CopyObject. The first one into a bucket is the SDK's, the others are modelled on it, which takes half of the time: a
 * copy has no content, and its answer says one thing. What is not answered in the usual way, the SDK sends again, and all
 * that follow for a while: when to wait and how long is for it to know.
 * @returns the ETag of the copy
 * @throws S3ServiceException
 * @see docs/decisions.md#a-copy-is-modelled-on-the-first-one
 */
export async function sendCopy(
  s3: S3Client,
  input: CopyInput,
  signal: AbortSignal,
): Promise<string | undefined> {
  const known = knownFor(s3, input.Bucket)
  if (known.model && performance.now() >= known.pausedUntil) {
    const etag = await sendOwn(s3, { model: known.model, input, signal })
    if (etag !== undefined) return etag
    signal.throwIfAborted()
    known.pausedUntil = performance.now() + pause
  }
  const copy = new CopyObjectCommand(input)
  if (known.model === undefined) {
    copy.middlewareStack.add(
      (next) => (args) => {
        known.model = modelOf(args.request as Request, input)
        return next(args)
      },
      { step: 'finalizeRequest', priority: 'low', name: 'modelOfCopies' }, // signed, then
    )
  }
  const answer = await s3.send(copy, { abortSignal: signal })
  return answer.CopyObjectResult?.ETag
}

function knownFor(s3: S3Client, bucket = ''): Known {
  const ofClient = knownOf.get(s3) ?? new Map<string, Known>()
  knownOf.set(s3, ofClient)
  const known = ofClient.get(bucket) ?? { pausedUntil: 0 }
  ofClient.set(bucket, known)
  return known
}

/** What a signed request of the SDK's says of those like it; null when it is signed in another way, or lies elsewhere. */
function modelOf({ path, headers, ...request }: Request, { Key = '' }: CopyInput): Model | null {
  const key = encodePath(Key)
  const [, region] = signedFor.exec(headers.authorization ?? '') ?? []
  if (region === undefined || headers.host === undefined || !path.endsWith(`/${key}`)) return null
  const { protocol, hostname, port, query } = request
  return {
    address: { protocol, hostname, query, ...(port === undefined ? {} : { port }) },
    host: headers.host,
    path: path.slice(0, path.length - key.length),
    userAgent: headers['user-agent'] ?? '',
    region,
  }
}

const signedFor = /^AWS4-HMAC-SHA256 Credential=[^/]+\/\d{8}\/([\w-]+)\/s3\/aws4_request,/

/** Undefined: something else than a copy or a refusal came of it. @throws S3ServiceException for a refusal */
async function sendOwn(
  s3: S3Client,
  { model, input, signal }: { model: Model; input: CopyInput; signal: AbortSignal },
): Promise<string | undefined> {
  const request = await requestOf(s3, model, input)
  let answer: { status: number; text: string }
  try {
    const { response } = await s3.config.requestHandler.handle(request, { abortSignal: signal })
    answer = { status: response.statusCode, text: await textOf(response.body as IncomingMessage) }
  } catch {
    return undefined // of which the SDK will hear as well
  }
  const { status, text } = answer
  const [, etag] = /<CopyObjectResult[^>]*>.*<ETag>([^<]*)<\/ETag>/s.exec(text) ?? []
  if (status === 200 && etag !== undefined) return etag.replace(/&(quot|#34|#x22);/gi, '"')
  const [, name] = /<Error>.*<Code>(\w+)<\/Code>/s.exec(text) ?? []
  if (!answers.has(status) || name === undefined) return undefined
  const [, message = name] = /<Message>([^<]*)<\/Message>/.exec(text) ?? []
  throw new S3ServiceException({ name, message, $fault: 'client', $metadata: { httpStatusCode: status } })
}

/** Signed by the SDK's signer. */
async function requestOf(s3: S3Client, model: Model, input: CopyInput): Promise<Request> {
  const headers: Record<string, string> = { host: model.host }
  const optional = {
    'if-match': input.IfMatch,
    'if-none-match': input.IfNoneMatch,
    'x-amz-copy-source': input.CopySource,
    'x-amz-copy-source-if-match': input.CopySourceIfMatch,
    'x-amz-storage-class': input.StorageClass,
  }
  for (const [name, value] of Object.entries(optional)) if (value !== undefined) headers[name] = value
  const unsigned = {
    ...model.address,
    method: 'PUT',
    path: model.path + encodePath(input.Key ?? ''),
    headers,
  }
  const signer = await s3.config.signer({
    name: 'sigv4',
    signingName: 's3',
    signingRegion: model.region,
    properties: {},
  })
  const { headers: signed } = await signer.sign(unsigned, {
    signingDate: new Date(Date.now() + s3.config.systemClockOffset),
    signingRegion: model.region,
    signingService: 's3',
  })
  return { ...unsigned, headers: { ...signed, 'user-agent': model.userAgent } }
}

function encodePath(key: string): string {
  return key.split('/').map(encodePart).join('/')
}

/** As RFC 3986 has it, which leaves less as it is than JavaScript does. */
function encodePart(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}

async function textOf(body: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    body.setEncoding('utf8')
    body.on('data', (piece: string) => {
      text += piece
    })
    body.once('end', () => resolve(text))
    body.once('error', reject)
    body.once('close', () => reject(new Error('closed')))
  })
}
