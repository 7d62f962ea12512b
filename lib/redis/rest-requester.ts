import { setTimeout } from 'node:timers/promises'
import { messageOf, NotPermitted, ResetError, StoreUnavailable } from '../errors.ts'
import { refusalOf } from './refusal.ts'
import type { Answer, Command } from './reply.ts'
import { AnswerRoom, AnswerTooLarge, isTooLarge, parseAnswer, reasonIn } from './rest-answer.ts'

/** Milliseconds. A server that refuses connections is given up after about 3 s, a busy one after 30 s. */
const timeLimit = 30_000
const waits = [100, 300, 800, 1_500]
const busyWait = 4_000

/** Bytes; V8 holds no string above 512 MiB. */
const largestAnswer = 384 * 2 ** 20

/** Why one attempt failed; `busy`: the server is there and says "later"; `unheard`: it has done nothing of it. */
type Failed = { reason: string; busy: boolean; unheard: boolean }

/** What is sent in a command's place once it may have been done. */
export type Again = (command: Command) => Command

type Waiting = {
  maxBytes?: number | undefined
  signal?: AbortSignal | undefined
  again?: Again | undefined
}

/**
 * Speaks Upstash's REST protocol in place of the SDK's own HTTP client, which hides HTTP statuses, does not retry 429
 * and 5xx, takes a timeout for an answer, and puts whole commands into its error messages.
 */
export class RestRequester {
  readonly #url: string
  readonly #host: string
  readonly #token: string
  readonly #room = new AnswerRoom()
  /** Lets a replica answer only when it has our own last write. */
  #syncToken = ''

  constructor(url: string, token: string) {
    this.#url = url.replace(/\/+$/, '')
    this.#host = new URL(url).host
    this.#token = token
  }

  /** For the SDK's own commands. */
  async request<Result>(request: {
    path?: string[]
    body?: unknown
  }): Promise<{ result?: Result; error?: string }> {
    const url = [this.#url, ...(request.path ?? [])].join('/')
    return (await this.#ask(url, request.body, { maxBytes: largestAnswer })) as { result?: Result }
  }

  /** One `/pipeline` request. @throws AnswerTooLarge when its answer has more than `maxBytes`; the reason of `signal` */
  async pipeline(
    commands: readonly Command[],
    { maxBytes = largestAnswer, signal, again }: Waiting = {},
  ): Promise<Answer[]> {
    const asked = { maxBytes, ended: signal, ...(again && { again: () => commands.map(again) }) }
    const answers = [await this.#ask(`${this.#url}/pipeline`, commands, asked)].flat()
    const refused = answers.length === 1 && commands.length > 1 ? answers[0]?.error : undefined
    if (answers.length === commands.length) return answers
    if (refused !== undefined) throw refusalOf(this.#host, 'a request', refused)
    throw new StoreUnavailable(
      `The cache at ${this.#host} gave ${answers.length} answers to ${commands.length} commands. Start again`,
    )
  }

  async #ask(
    url: string,
    body: unknown,
    { maxBytes, ended, again }: { maxBytes: number; ended?: AbortSignal | undefined; again?: () => unknown },
  ): Promise<Answer | Answer[]> {
    const timeout = AbortSignal.timeout(timeLimit)
    const signal = ended === undefined ? timeout : AbortSignal.any([timeout, ended])
    let text = JSON.stringify(body)
    let mayBeDone = false
    let reason = `no answer within ${timeLimit / 1000} s`
    for (let attempt = 0; !signal.aborted; attempt++) {
      const outcome = await this.#attempt(url, text, { signal, maxBytes })
      if ('answer' in outcome) return outcome.answer
      ended?.throwIfAborted()
      if (!signal.aborted) reason = outcome.reason
      if (!outcome.unheard && !mayBeDone && again !== undefined) text = JSON.stringify(again())
      mayBeDone ||= !outcome.unheard
      const wait = waits[attempt] ?? (outcome.busy ? busyWait : undefined)
      if (wait === undefined) break
      await setTimeout(wait, undefined, { signal }).catch(() => {}) // the time is up, which the loop finds out
    }
    ended?.throwIfAborted()
    throw new StoreUnavailable(
      `The cache at ${this.#host} cannot be reached: ${reason}. Check UPSTASH_REDIS_REST_URL and that it runs, then start again`,
    )
  }

  async #attempt(
    url: string,
    body: string,
    { signal, maxBytes }: { signal: AbortSignal; maxBytes: number },
  ): Promise<{ answer: Answer | Answer[] } | Failed> {
    try {
      const response = await fetch(url, { method: 'POST', headers: this.#headers(), body, signal })
      const text = await this.#room.read(response, maxBytes)
      if (response.ok) {
        this.#syncToken = response.headers.get('upstash-sync-token') ?? ''
        return { answer: this.#parse(text) }
      }
      return this.#refused(response.status, reasonIn(text))
    } catch (error) {
      if (error instanceof AnswerTooLarge || error instanceof ResetError) throw error
      return {
        reason: signal.aborted ? `no answer within ${timeLimit / 1000} s` : reasonOf(error),
        busy: false,
        unheard: codeOf(error) === 'ECONNREFUSED',
      }
    }
  }

  /** @throws what does not get better by asking again */
  #refused(status: number, reason: string): { answer: Answer } | Failed {
    if (status === 429 || status >= 500) {
      return { reason: `HTTP ${status}, ${reason}`, busy: true, unheard: status === 429 }
    }
    if (status === 401 || status === 403) {
      throw new NotPermitted(
        `The cache at ${this.#host} refuses the token (HTTP ${status}): ${reason}. Check UPSTASH_REDIS_REST_TOKEN; a read-only token does not do`,
      )
    }
    if (isTooLarge(reason) || status === 413) throw new AnswerTooLarge(reason)
    if (status === 400) return { answer: { error: reason } } // a single command that Redis refused
    throw new StoreUnavailable(
      `The cache at ${this.#host} answered HTTP ${status}: ${reason}. Check UPSTASH_REDIS_REST_URL`,
    )
  }

  #parse(text: string): Answer | Answer[] {
    const answer = parseAnswer(text)
    if (answer !== undefined) return answer
    throw new StoreUnavailable(
      `The cache at ${this.#host} answered with something that is not of Upstash's REST API. Check UPSTASH_REDIS_REST_URL`,
    )
  }

  #headers(): Record<string, string> {
    return {
      authorization: `Bearer ${this.#token}`,
      'content-type': 'application/json',
      'upstash-encoding': 'base64',
      'upstash-sync-token': this.#syncToken,
    }
  }
}

function reasonOf(error: unknown): string {
  return messageOf(systemErrorOf(error) ?? error)
}

function codeOf(error: unknown): unknown {
  const cause = systemErrorOf(error)
  return cause instanceof Error && 'code' in cause ? cause.code : undefined
}

/** fetch says only "fetch failed"; the system's reason is below it. */
function systemErrorOf(error: unknown): unknown {
  const cause = error instanceof Error ? error.cause : undefined
  return cause instanceof AggregateError ? cause.errors[0] : cause
}
