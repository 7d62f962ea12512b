import type { LookupAddress } from 'node:dns'
import {
  type ClientRequest,
  Agent as HttpAgent,
  type IncomingMessage,
  request as requestPlain,
} from 'node:http'
import { Agent as HttpsAgent, request as requestTls } from 'node:https'
import type { LookupFunction } from 'node:net'
import { toolVersion } from '../version.ts'
import { codeOf, hostOf, judge, type Lookup, type PrivateHost } from './host.ts'

type Call = {
  url: URL
  body: string
  headers: Readonly<Record<string, string>>
  /** In which all has to be over: looking up, connecting, and the answer to its end. */
  timeoutMs: number
  signal?: AbortSignal
  allowed: readonly PrivateHost[]
  lookup?: Lookup
}

/** `refused`: nothing was sent, as the address may not be called. Each reason names the host and nothing else of the address. */
export type Called = { status: number } | { refused: string } | { failed: string }

/**
 * The answer is read to its end and thrown away: it may be the log of work that goes on, and who hangs up may end that. So
 * much of it, then it is none any more.
 */
const answerMaxBytes = 16 * 1_048_576

/**
 * POSTs a body to an address that a person configured, once. A redirection is an answer as any other: who is sent
 * elsewhere would take the signature along. Variables of the environment that name proxies count for nothing.
 */
export async function call({
  url,
  body,
  headers,
  timeoutMs,
  signal,
  allowed,
  lookup,
}: Call): Promise<Called> {
  const late = AbortSignal.timeout(timeoutMs)
  const ended = AbortSignal.any(signal === undefined ? [late] : [late, signal])
  const host = hostOf(url)
  const whenEnded = () => ({
    failed: late.aborted
      ? `${host} did not answer within ${timeoutMs / 1000} s`
      : `${host}: the call was ended`,
  })
  const judged = await Promise.race([judge(url, allowed, lookup), aborted(ended)])
  if (judged === 'aborted') return whenEnded()
  if (!('addresses' in judged)) return judged
  try {
    const sent = send(url, { body, headers, signal: ended, addresses: judged.addresses })
    return { status: await statusOf(sent) }
  } catch (error) {
    if (ended.aborted) return whenEnded()
    if (error instanceof TooLong) return { failed: `${host} answered with more than 16 MiB` }
    return { failed: `${host} could not be called (${codeOf(error)})` }
  }
}

class TooLong extends Error {}

function aborted(signal: AbortSignal): Promise<'aborted'> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve('aborted')
    else signal.addEventListener('abort', () => resolve('aborted'), { once: true })
  })
}

function send(
  url: URL,
  {
    body,
    headers,
    signal,
    addresses,
  }: { body: string; headers: Call['headers']; signal: AbortSignal; addresses: LookupAddress[] },
): ClientRequest {
  const isPlain = url.protocol === 'http:'
  // An agent of its own: the process's may be one that goes through a proxy, or hold a connection to another address.
  const agent = isPlain
    ? new HttpAgent()
    : new HttpsAgent({ minVersion: 'TLSv1.2', rejectUnauthorized: true })
  const sent = (isPlain ? requestPlain : requestTls)(url, {
    method: 'POST',
    agent,
    signal,
    lookup: only(addresses),
    headers: {
      'content-type': 'application/json',
      'user-agent': `taskmaster-reset/${toolVersion}`,
      ...headers,
      'content-length': Buffer.byteLength(body),
    },
  })
  sent.end(body)
  return sent
}

/** The name is not looked up again: what was judged is connected to. */
function only(addresses: LookupAddress[]): LookupFunction {
  return (_host, options, callback) => {
    const [first] = addresses
    if (options.all === true || first === undefined) callback(null, addresses)
    else callback(null, first.address, first.family)
  }
}

function statusOf(sent: ClientRequest): Promise<number> {
  return new Promise((resolve, reject) => {
    const end = (error: Error) => {
      reject(error)
      sent.destroy()
    }
    sent.on('error', reject)
    sent.on('close', () => reject(new Error('it was closed before it answered')))
    sent.on('response', (answer: IncomingMessage) => {
      let bytes = 0
      answer.on('data', (chunk: Buffer) => {
        bytes += chunk.length
        if (bytes > answerMaxBytes) end(new TooLong())
      })
      answer.on('error', end)
      answer.on('end', () => resolve(answer.statusCode ?? 0))
    })
  })
}
