import { StoreUnavailable } from '../../errors.ts'
import { type BinaryRedis, refusal } from '../../redis/binary-redis.ts'
import { command } from '../../redis/command.ts'
import { asText } from '../../redis/reply.ts'
import { AnswerTooLarge, isTooLarge, isWrongType } from '../../redis/rest-answer.ts'
import { type KeyFindings, nameOfKey } from '../findings.ts'
import { withExpiry } from './field-expiry.ts'
import { type KeyHead, keyLine, sizeOf } from './lines.ts'
import { type Item, pagesOf, type ValuePage } from './pages.ts'
import { readStreamState, type StreamState } from './stream.ts'

/**
 * What bounds memory, in bytes of one answer's JSON and of one line, and what is asked for of a value at once.
 * @see docs/decisions.md#strings-of-an-answer-wait-as-bytes
 */
export const readLimits = {
  answerBytes: 16 * 2 ** 20,
  /** Of an answer that holds several values. */
  togetherBytes: 2 * 2 ** 20,
  lineBytes: 2 ** 20,
  /** Elements of a collection. A smaller one comes in one answer, so it is of one moment. */
  pageItems: 4_000,
  /** Bytes of a string, together with other keys; and alone. */
  pieceBytes: 256 * 2 ** 10,
  largePieceBytes: 2 ** 20,
}
export type ReadLimits = typeof readLimits

/** A line of a part, and whether a key begins with it. */
export type KeyLine = { line: string; begins: boolean }

type Reading = {
  head: KeyHead
  findings: KeyFindings
  limits: ReadLimits
  /** The name under which the key stands in its lines. */
  nameOf: (key: Buffer) => Buffer
  /** Whether the server tells when fields of a hash expire. */
  ofFields: boolean
}

/**
 * The lines of one key. A value of several answers is read while it may change: an element that is there all the time
 * is in the lines, one that comes or goes meanwhile may be.
 * @param page the first one as readKeys asked for it; null when it was too large
 */
export async function* readValue(
  cache: BinaryRedis,
  { page: firstPage, ...reading }: Reading & { page: ValuePage | null },
): AsyncGenerator<KeyLine> {
  const { head, findings, limits } = reading
  const named = { ...head, key: reading.nameOf(head.key) }
  let page: ValuePage | 'gone' = firstPage ?? { items: [], next: pagesOf[head.type].first }
  let items: Item[] = []
  let bytes = 0
  let part = 0
  let answers = 1
  for (;;) {
    for (const item of page.items) {
      const size = sizeOf(item)
      if (items.length > 0 && bytes + size > limits.lineBytes) {
        yield { line: keyLine(named, items, { part: ++part }), begins: part === 1 }
        items = []
        bytes = 0
      }
      items.push(item)
      bytes += size
    }
    if (page.next === null) break
    page = await nextPage(cache, page.next, reading)
    answers++
    if (page === 'gone') break
  }
  if (answers > 1 && (page === 'gone' || !(await isStill(cache, head)))) findings.torn.add(head.key)
  // Of a string that is gone, what is read is empty.
  if (part === 0 && !items.some(({ length }) => length > 0) && !(await isStill(cache, head))) {
    findings.vanished++
    return
  }
  const stream = head.type === 'stream' ? await readState(cache, reading) : undefined
  if (part === 0) yield { line: keyLine(named, items, { stream }), begins: true }
  else if (items.length > 0) yield { line: keyLine(named, items, { part: ++part, stream }), begins: false }
}

/** The page from a cursor on, in as small an answer as it takes. 'gone': the key now has another type. */
async function nextPage(
  cache: BinaryRedis,
  cursor: string,
  { head, limits, ofFields }: Reading,
): Promise<ValuePage | 'gone'> {
  const { command: ask, read } = pagesOf[head.type]
  const most = head.type === 'string' ? limits.largePieceBytes : limits.pageItems
  for (let count = most; count > 0; count = count === 1 ? 0 : Math.ceil(count / 8)) {
    try {
      // A single element has to be taken as it is, however large.
      const [answer] = await cache.send([ask(head.key, cursor, count)], {
        maxBytes: count > 1 ? limits.answerBytes : undefined,
      })
      if (answer?.error === undefined) {
        const page = read(answer?.result ?? null, cursor, count)
        if (head.type !== 'hash' || !ofFields) return page
        const [items = []] = await withExpiry(cache, [{ key: head.key, items: page.items }])
        return { ...page, items }
      }
      if (isWrongType(answer.error)) return 'gone'
      if (!isTooLarge(answer.error)) throw refusal(cache.host, ask(head.key, cursor, count), answer.error)
    } catch (error) {
      if (!(error instanceof AnswerTooLarge)) throw error
    }
  }
  throw new StoreUnavailable(
    `A ${head.type} in the cache at ${cache.host} holds an element that is too large to be read. Shorten or delete it, and start again. Its key is ${nameOfKey(head.key)}`,
  )
}

async function isStill(cache: BinaryRedis, { key, type }: KeyHead): Promise<boolean> {
  const [now] = await cache.ask([command('TYPE', key)])
  return asText(now) === type
}

async function readState(cache: BinaryRedis, { head, findings }: Reading): Promise<StreamState | undefined> {
  const found = await readStreamState(cache, head.key)
  if (found === null) findings.grouped.add(head.key)
  else if (found.pending > 0) findings.addPending(head.key, found.pending)
  return found?.state
}
