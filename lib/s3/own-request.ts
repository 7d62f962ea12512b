import { type Agent as HttpAgent, request as plain } from 'node:http'
import { type Agent as HttpsAgent, request as secure } from 'node:https'
import type { S3Client } from '@aws-sdk/client-s3'
import type { Location } from './copy-source.ts'
import { answerTo, type OwnAnswer } from './own-answer.ts'
import { type Identity, signedHeaders } from './sigv4.ts'

/** A request without a body, about one object. */
export type OwnRequest = Location & { method: 'PUT' | 'HEAD'; headers: Record<string, string> }

/** Where a bucket's objects are, and for whom they are asked. */
type Model = {
  protocol: string
  hostname: string
  port: number | undefined
  host: string
  /** What stands before the key. */
  path: string
  userAgent: string
  /** That it is signed for. */
  region: string
}

/** A request as the SDK signed it. */
type Signed = {
  protocol: string
  hostname: string
  port?: number
  path: string
  query?: Record<string, string>
  headers: Record<string, string>
}

/** Of a client and a bucket: `model` is undefined before anybody asked, and null when there can be none;
 * before `pausedUntil` the SDK sends all. */
type Known = { model: Promise<Model | null> | undefined; pausedUntil: number }
const knownOf = new WeakMap<S3Client, Map<string, Known>>()

/** Milliseconds; in them the SDK finds the rate at which S3 answers, which it does not for requests that are not its own. */
const pause = 60_000

/** Where a command of the SDK's is looked at once it is signed. */
export const afterSigning = { step: 'finalizeRequest', priority: 'low', name: 'modelOfRequests' } as const

type Ways<Result> = {
  /** What the answer says; undefined when it is not one of the usual ones. @throws what S3 refuses for good */
  read: (answer: OwnAnswer) => { result: Result } | undefined
  /** The same by the SDK; `learn` is to be told the request as it was signed. */
  bySdk: (learn: (signed: unknown) => void) => Promise<Result>
}

/**
 * Sends a request without the SDK's middleware, which takes more time than S3 does: by its address, its credentials and its
 * sockets, as its own first request to the bucket shows them. That one is the SDK's, and so is whatever is not answered in
 * a usual way, and all that follow for a while: when to wait and how long is for the SDK to know.
 * @see docs/decisions.md#a-copy-is-modelled-on-the-first-one
 */
export async function sendLight<Result>(
  s3: S3Client,
  request: OwnRequest,
  { read, bySdk }: Ways<Result>,
  signal?: AbortSignal,
): Promise<Result> {
  const known = knownFor(s3, request.bucket)
  if (known.model === undefined) return await learnFrom(known, request, bySdk)
  const model = await known.model
  if (model && performance.now() >= known.pausedUntil) {
    const answer = await ask(s3, { model, request }, signal)
    const found = answer && read(answer)
    if (found !== undefined) return found.result
    signal?.throwIfAborted()
    known.pausedUntil = performance.now() + pause
  }
  return await bySdk(() => {})
}

/** Those that come meanwhile wait for the model, not for the answer. */
async function learnFrom<Result>(
  known: Known,
  request: OwnRequest,
  bySdk: Ways<Result>['bySdk'],
): Promise<Result> {
  const { promise, resolve } = Promise.withResolvers<Model | null>()
  known.model = promise
  let learned = false
  try {
    return await bySdk((signed) => {
      learned = true
      resolve(modelOf(signed as Signed, request))
    })
  } finally {
    if (!learned) known.model = undefined
    resolve(null)
  }
}

function knownFor(s3: S3Client, bucket: string): Known {
  const ofClient = knownOf.get(s3) ?? new Map<string, Known>()
  knownOf.set(s3, ofClient)
  const known = ofClient.get(bucket) ?? { model: undefined, pausedUntil: 0 }
  ofClient.set(bucket, known)
  return known
}

/** What a signed request of the SDK's says of those like it; null when it is signed in another way, or lies elsewhere. */
function modelOf(
  { protocol, hostname, port, path, headers, query = {} }: Signed,
  { key }: OwnRequest,
): Model | null {
  const end = encodePath(key)
  const [, region] = signedFor.exec(headers.authorization ?? '') ?? []
  const isUsual = Object.keys(query).every((name) => name === 'x-id') && path.endsWith(`/${end}`)
  if (region === undefined || headers.host === undefined || !isUsual) return null
  const userAgent = headers['user-agent'] ?? ''
  return {
    ...{ protocol, port, host: headers.host, userAgent, region },
    hostname: hostname.replace(/^\[(.*)\]$/, '$1'), // of IPv6, which a URL has in brackets
    path: path.slice(0, path.length - end.length),
  }
}

const signedFor = /^AWS4-HMAC-SHA256 Credential=[^/]+\/\d{8}\/([\w-]+)\/s3\/aws4_request,/

/** Undefined: there is no answer, of which the SDK will hear as well. */
async function ask(
  s3: S3Client,
  { model, request: { method, key, headers } }: { model: Model; request: OwnRequest },
  signal: AbortSignal | undefined,
): Promise<OwnAnswer | undefined> {
  const path = model.path + encodePath(key)
  const signed = signedHeaders(
    { method, path, query: '', headers: { host: model.host, ...headers } },
    {
      identity: await identityOf(s3),
      region: model.region,
      now: Date.now() + s3.config.systemClockOffset,
    },
  )
  const { httpAgent, httpsAgent, requestTimeout, connectionTimeout } = handlerOf(s3).httpHandlerConfigs()
  const isSecure = model.protocol === 'https:'
  const agent = isSecure ? httpsAgent : httpAgent
  if (agent === undefined) return undefined // before the SDK has made it: another one would have other limits
  const { hostname, port, userAgent } = model
  const send = () =>
    (isSecure ? secure : plain)({
      ...{ method, path, hostname, port, agent },
      headers: { ...signed, 'user-agent': userAgent },
      ...(requestTimeout ? { timeout: requestTimeout } : {}), // in which nothing comes
    })
  return await answerTo(send, { signal, connectionTimeout })
}

/** Of the kind that lib/clients.ts gives it. */
type Handler = {
  httpHandlerConfigs(): {
    httpAgent?: HttpAgent
    httpsAgent?: HttpsAgent
    requestTimeout?: number
    connectionTimeout?: number
  }
}
const handlerOf = (s3: S3Client) => s3.config.requestHandler as unknown as Handler

/** Milliseconds for which the credentials are not asked for again: the SDK reads the environment each time. */
const identityAge = 1_000
const identities = new WeakMap<S3Client, { identity: Identity; until: number }>()

async function identityOf(s3: S3Client): Promise<Identity> {
  const last = identities.get(s3)
  if (last !== undefined && performance.now() < last.until) return last.identity
  const identity = await s3.config.credentials()
  identities.set(s3, { identity, until: performance.now() + identityAge })
  return identity
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
