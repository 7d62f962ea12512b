import * as z from 'zod'
import { type Answer, decodeReply } from './reply.ts'

/** The answer is larger than the caller takes into memory, or than the server sends: ask for less at once. */
export class AnswerTooLarge extends Error {
  override readonly name = 'AnswerTooLarge'
}

const Item = z.object({ result: z.unknown().optional(), error: z.string().optional() })
const Body = z.union([Item, z.array(Item)])

/** An answer's JSON, decoded; undefined when it is not of Upstash. Without the parser's errors, which would quote it. */
export function parseAnswer(text: string): Answer | Answer[] | undefined {
  const body = Body.safeParse(parseJson(text))
  if (!body.success) return undefined
  return Array.isArray(body.data) ? body.data.map(decode) : decode(body.data)
}

/** The text of an answer. @throws AnswerTooLarge as soon as more than `maxBytes` have come */
export async function readText(response: Response, maxBytes: number): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length
    if (bytes > maxBytes) throw new AnswerTooLarge(`an answer of more than ${maxBytes} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
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
