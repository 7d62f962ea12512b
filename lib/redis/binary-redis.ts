import { Redis } from '@upstash/redis'
import type { ResetError } from '../errors.ts'
import { refusalOf } from './refusal.ts'
import type { Answer, Command, Reply } from './reply.ts'
import { type Again, RestRequester } from './rest-requester.ts'

/** Bytes of arguments in one request, roughly; Upstash takes 10 MB of JSON, and escapes make text longer. */
const argumentBytes = 1.5 * 2 ** 20

/**
 * Upstash's client with every string of an answer as a Buffer, whatever type its methods declare: keys and values need
 * not be UTF-8, and nothing is parsed. Each command may be sent more than once when answers are lost, so only commands
 * that may be repeated belong here.
 */
export class BinaryRedis extends Redis {
  /** Host and port, for messages. */
  readonly host: string
  readonly #rest: RestRequester

  constructor(url: string, token: string) {
    super({
      url,
      token,
      automaticDeserialization: false,
      enableAutoPipelining: false,
      enableTelemetry: false,
    })
    this.#rest = new RestRequester(url, token)
    this.client = this.#rest
    this.host = new URL(url).host
  }

  /**
   * Runs commands in order, not atomically, in one `/pipeline` request, and gives each one's answer or error.
   * @param maxBytes the largest answer, in bytes of its JSON, that is taken into memory
   * @param signal ends waiting for the answer, with its reason
   * @param again what is sent in a command's place when an answer was lost, so that it may have been done already
   * @throws AnswerTooLarge when the answer is larger
   * @throws StoreUnavailable or NotPermitted when the request fails as a whole
   */
  async send(
    commands: readonly Command[],
    waiting: { maxBytes?: number | undefined; signal?: AbortSignal; again?: Again | undefined } = {},
  ): Promise<Answer[]> {
    const answers: Answer[] = []
    for (const body of requestsOf(commands)) answers.push(...(await this.#rest.pipeline(body, waiting)))
    return answers
  }

  /**
   * As `send`, where every command has to succeed.
   * @throws the error of refusalOf, naming the first command that failed and Redis' reason
   */
  async ask(
    commands: readonly Command[],
    waiting: { signal?: AbortSignal; again?: Again | undefined } = {},
  ): Promise<Reply[]> {
    const answers = await this.send(commands, waiting)
    return answers.map((answer, index) => {
      if (answer.error === undefined) return answer.result
      throw refusal(this.host, commands[index], answer.error)
    })
  }
}

/** The error of a command that Redis refused. Never with its arguments, which may be keys and values. */
export function refusal(host: string, command: Command | undefined, reason: string): ResetError {
  return refusalOf(host, command?.[0] ?? 'a command', reason)
}

function* requestsOf(commands: readonly Command[]): Generator<Command[]> {
  let request: Command[] = []
  let bytes = 0
  for (const command of commands) {
    const size = command.reduce((sum, argument) => sum + argument.length + 4, 0)
    if (request.length > 0 && bytes + size > argumentBytes) {
      yield request
      request = []
      bytes = 0
    }
    request.push(command)
    bytes += size
  }
  if (request.length > 0) yield request
}
