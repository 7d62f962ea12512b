import * as z from 'zod'
import { type Answer, decodeReply } from './reply.ts'

/** The answer is larger than the caller takes into memory, or than the server sends: ask for less at once. */
export class AnswerTooLarge extends Error {
  override readonly name = 'AnswerTooLarge'
}

/** Bytes that most answers have room in. A larger one has room of its own, which is not kept. */
const roomBytes = 2 * 2 ** 20

const Item = z.object({ result: z.unknown().optional(), error: z.string().optional() })
const Body = z.union([Item, z.array(Item)])

/** An answer's JSON, decoded; undefined when it is not of Upstash. Without the parser's errors, which would quote it. */
export function parseAnswer(text: string): Answer | Answer[] | undefined {
  const body = Body.safeParse(parseJson(text))
  if (!body.success) return undefined
  return Array.isArray(body.data) ? body.data.map(decode) : decode(body.data)
}

/** Room for the bytes of answers while they come, each of which becomes text at once and leaves it to the next. */
export class AnswerRoom {
  #free: Buffer[] = []

  /** The text of an answer. @throws AnswerTooLarge as soon as more than `maxBytes` have come */
  async read(response: Response, maxBytes: number): Promise<string> {
    let room = this.#free.pop() ?? Buffer.allocUnsafeSlow(roomBytes)
    try {
      let bytes = 0
      for await (const chunk of response.body ?? []) {
        const end = bytes + chunk.length
        if (end > maxBytes) throw new AnswerTooLarge(`an answer of more than ${maxBytes} bytes`)
        if (end > room.length) room = Buffer.concat([room.subarray(0, bytes)], Math.max(end, 2 * room.length))
        room.set(chunk, bytes)
        bytes = end
      }
      return room.toString('utf8', 0, bytes)
    } finally {
      if (room.length === roomBytes) this.#free.push(room)
    }
  }
}

/** What a failed request says about itself. */
export function reasonIn(text: string): string {
  const body = z.object({ error: z.string() }).safeParse(parseJson(text))
  return body.success ? withoutArguments(body.data.error) : 'without a reason' // a proxy's error page, for example
}

/** Whether Redis' reason is that the request or its answer is over Upstash's limit. */
export function isTooLarge(reason: string): boolean {
  return /max (request|response|record|single record) size exceeded/i.test(reason)
}

function decode({ result, error }: z.output<typeof Item>): Answer {
  return error === undefined ? { result: decodeReply(result ?? null) } : { error: withoutArguments(error) }
}

/** Redis, and some servers in front of it, repeat a command's arguments in their error. */
function withoutArguments(reason: string): string {
  return reason.replace(/,? (with args beginning with|command was):?.*$/s, '').slice(0, 300)
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // no schema accepts it
  }
}

/** The key is of another type than the command is for. From a script, Redis 6 puts its own words before the reason. */
export function isWrongType(reason: string): boolean {
  return reason.includes('WRONGTYPE')
}
