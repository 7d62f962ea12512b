import * as z from 'zod'
import { type ErrorKind, errorKinds, messageOf, ResetError, StoreUnavailable } from '../../../lib/errors.ts'
import { toolVersion } from '../../../lib/version.ts'
import type { Access } from './address.ts'

/** What the API refused, under the name that it gave it. */
export class Refused extends ResetError {
  override readonly name: string
  readonly kind: ErrorKind
  constructor(name: string, message: string, status: number) {
    super(message)
    this.name = name
    this.kind = errorKinds.get(name) ?? kindOf(status)
  }
}

export type Api = {
  /** Asks, and gives the parsed answer. @throws Refused, StoreUnavailable */
  ask<Answer>(
    method: 'GET' | 'POST' | 'PUT' | 'PATCH',
    path: string,
    schema: z.ZodType<Answer>,
    sent?: { body?: unknown; headers?: Record<string, string> },
  ): Promise<Answer>
  url: string
}

const Problem = z.object({ title: z.string(), detail: z.string() })

/** Longer than the gateway waits for its function. */
const patienceMs = 35_000
/** The largest answer that the API gives is far below. */
const maxBytes = 16 * 2 ** 20

/** The API, asked as the page asks it. A redirection is an answer and not followed: the token is for this address. */
export function apiOf({ url, token }: Access): Api {
  async function ask<Answer>(
    method: string,
    path: string,
    schema: z.ZodType<Answer>,
    { body, headers = {} }: { body?: unknown; headers?: Record<string, string> } = {},
  ): Promise<Answer> {
    const { status, text } = await fetched(`${url}${path}`, {
      method,
      redirect: 'manual',
      signal: AbortSignal.timeout(patienceMs),
      headers: {
        authorization: `Bearer ${token}`,
        'user-agent': `taskmaster-reset/${toolVersion}`,
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
    if (status >= 200 && status < 300) {
      const answer = schema.safeParse(json(text))
      if (answer.success) return answer.data
      throw new Refused(
        'UnexpectedAnswer',
        `${url} answered ${method} ${path} with something else than this version understands. Compare the versions: this is ${toolVersion}, and /v1/session tells the other's`,
        500,
      )
    }
    const problem = Problem.safeParse(json(text)).data
    throw problem === undefined
      ? new Refused(
          'UnexpectedAnswer',
          `${url} answered ${method} ${path} with ${status}. Is it the API's address?`,
          status,
        )
      : new Refused(problem.title, problem.detail, status)
  }
  return { ask, url }
}

async function fetched(address: string, request: RequestInit): Promise<{ status: number; text: string }> {
  try {
    const answer = await fetch(address, request)
    return { status: answer.status, text: await textOf(answer) }
  } catch (cause) {
    const inner = cause instanceof Error && cause.cause !== undefined ? cause.cause : cause
    throw new StoreUnavailable(`${new URL(address).origin} cannot be asked: ${messageOf(inner)}`, { cause })
  }
}

async function textOf({ body }: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of body ?? []) {
    bytes += chunk.length
    if (bytes > maxBytes) throw new Error(`it answered with more than ${maxBytes} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function json(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function kindOf(status: number): ErrorKind {
  if (status === 401 || status === 403 || status === 422) return 'guard'
  if (status === 409) return 'busy'
  return status >= 400 && status < 500 && status !== 429 ? 'request' : 'failure'
}
