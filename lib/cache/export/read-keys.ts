import { counted } from '../../amounts.ts'
import { StoreUnavailable } from '../../errors.ts'
import { type BinaryRedis, refusal } from '../../redis/binary-redis.ts'
import { chunksOf } from '../../redis/chunks.ts'
import { command } from '../../redis/command.ts'
import { type Answer, asList, asNumber, asText, type Reply } from '../../redis/reply.ts'
import { AnswerTooLarge, isTooLarge, isWrongType } from '../../redis/rest-answer.ts'
import type { KeyFindings } from '../findings.ts'
import { asMoment, type ExpiryKnown, lastMoment } from '../value/expiry.ts'
import { withExpiry } from '../value/field-expiry.ts'
import { type KeyHead, stringLine } from '../value/lines.ts'
import { keyTypes, pagesOf, type ValuePage } from '../value/pages.ts'
import { type KeyLine, type ReadLimits, readValue } from '../value/read.ts'
import { type ReadString, type ReadStrings, readStrings, type StringsAsked } from '../value/read-strings.ts'
import { keysAtOnce } from './scan-pages.ts'

/** A first page of a value: null when it was too large to be had together with others, or at all. */
type FirstPage = { head: KeyHead; page: ValuePage | null }

/** How often a key that changes its type while it is read is begun anew. */
const tries = 5

type Reading = {
  keys: readonly Buffer[]
  /** Keys that no script reads. */
  others?: readonly Buffer[]
  findings: KeyFindings
  limits: ReadLimits
  expiry: ExpiryKnown
  /** The name under which a key stands in its lines. */
  nameOf?: (key: Buffer) => Buffer
}

/**
 * Reads keys and gives their lines: strings by a script, many at once, and while these are taken the next ones are asked
 * for; all others by one request for type and expiry, then one or more for the values. Memory: two answers of 1 MB, or one
 * of `answerBytes`, which a single collection may take; one that would be larger is given up and asked for in smaller pieces, down to single elements.
 * @throws StoreUnavailable when the cache refuses, or a single element is larger than a string can be
 */
export async function* readKeys(cache: BinaryRedis, reading: Reading): AsyncGenerator<Iterable<KeyLine>> {
  const { limits, expiry, nameOf = (key: Buffer) => key } = reading
  const asked = stringsAsked(limits, expiry)
  const others = [...(reading.others ?? [])]
  const waiting = chunksOf(reading.keys, keysAtOnce)
  const ask = (): Promise<ReadStrings> | undefined => {
    const keys = waiting.shift()
    return keys && readStrings(cache, keys, asked)
  }
  for (let next = ask(); next !== undefined; ) {
    const read = await next
    if (read.rest.length > 0) waiting.unshift(read.rest)
    others.push(...read.others)
    next = ask()
    next?.catch(() => {}) // it is thrown where it is waited for, if it still is
    if (read.strings.size > 0) yield linesOf(read.strings, nameOf)
  }
  yield* readOthers(cache, { ...reading, keys: others, nameOf })
}

/** The lines of strings that were read whole. */
export function* linesOf(
  strings: Iterable<ReadString>,
  nameOf = (key: Buffer): Buffer => key,
): Generator<KeyLine> {
  for (const { key, value, expiresAt } of strings)
    yield { line: stringLine(nameOf(key), value, expiresAt), begins: true }
}

export function stringsAsked(limits: ReadLimits, { exact }: ExpiryKnown): StringsAsked {
  return { exactExpiry: exact, most: limits.pieceBytes, maxBytes: limits.answerBytes }
}

async function* readOthers(
  cache: BinaryRedis,
  { keys, findings, limits, expiry, nameOf }: Required<Omit<Reading, 'others'>>,
): AsyncGenerator<Iterable<KeyLine>> {
  let wanted = keys
  for (let attempt = 1; wanted.length > 0; attempt++) {
    if (attempt > tries) {
      throw new StoreUnavailable(
        `${counted(wanted.length, 'key')} of the cache at ${cache.host} changed type ${tries} times while being read. Pause what writes them and start again`,
      )
    }
    const replaced: Buffer[] = []
    const heads = await readHeads(cache, { keys: wanted, findings, exactExpiry: expiry.exact })
    const pages = firstPages(cache, { heads, replaced, limits, ofFields: expiry.ofFields })
    for await (const { head, page } of pages) {
      const value = { head, page, findings, limits, nameOf, ofFields: expiry.ofFields }
      for await (const line of readValue(cache, value)) yield [line]
    }
    wanted = replaced
  }
}

/** Type and expiry, by the server's clock. A key that expired or was deleted since the scan is counted and left out. */
async function readHeads(
  cache: BinaryRedis,
  { keys, findings, exactExpiry }: { keys: readonly Buffer[]; findings: KeyFindings; exactExpiry: boolean },
): Promise<KeyHead[]> {
  const name = exactExpiry ? 'PEXPIRETIME' : 'PTTL'
  const questions = keys.flatMap((key) => [command('TYPE', key), command(name, key)])
  const [time, ...replies] = await cache.ask([['TIME'], ...questions])
  const [seconds, microseconds] = asList(time)
  const now = exactExpiry ? 0 : asNumber(seconds) * 1000 + Math.floor(asNumber(microseconds) / 1000)
  return keys.flatMap((key, index): KeyHead[] => {
    const name = asText(replies[2 * index])
    const timeToLive = asMoment(replies[2 * index + 1])
    const type = keyTypes.find((known) => known === name)
    if (name === 'none' || timeToLive === -2) findings.vanished++
    else if (type === undefined) findings.addUnsupported(name, key)
    else return [{ key, type, expiresAt: timeToLive === -1 ? null : Math.min(now + timeToLive, lastMoment) }]
    return []
  })
}

/** The first pages of many keys together: of as many at once as fit into one answer. */
async function* firstPages(
  cache: BinaryRedis,
  {
    heads,
    replaced,
    limits,
    ofFields,
  }: { heads: readonly KeyHead[]; replaced: Buffer[]; limits: ReadLimits; ofFields: boolean },
): AsyncGenerator<FirstPage> {
  let together = heads.length
  for (let at = 0; at < heads.length; ) {
    const some = heads.slice(at, at + together)
    const answers = await firstAnswers(cache, some, limits)
    if (answers === undefined && some.length > 1) {
      together = Math.ceil(some.length / 4)
      continue
    }
    at += some.length
    const found: FirstPage[] = []
    for (const [index, head] of some.entries()) {
      const { result, error } = answers?.[index] ?? { result: null }
      if (error === undefined || isTooLarge(error))
        found.push({ head, page: firstPageOf(head, result ?? null, limits) })
      else if (isWrongType(error)) replaced.push(head.key)
      else throw refusal(cache.host, [`reading a ${head.type}`], error)
    }
    if (ofFields) await addFieldExpiry(cache, found)
    yield* found
  }
}

function firstPageOf({ type }: KeyHead, reply: Reply, limits: ReadLimits): ValuePage | null {
  const { first, read } = pagesOf[type]
  return reply === null ? null : read(reply, first, type === 'string' ? limits.pieceBytes : limits.pageItems)
}

async function addFieldExpiry(cache: BinaryRedis, found: readonly FirstPage[]): Promise<void> {
  const hashes = found.flatMap(({ head, page }) =>
    head.type === 'hash' && page !== null ? [{ key: head.key, page }] : [],
  )
  const asked = hashes.map(({ key, page }) => ({ key, items: page.items }))
  for (const [index, items] of (await withExpiry(cache, asked)).entries()) {
    const hash = hashes[index]
    if (hash !== undefined) hash.page.items = items
  }
}

/** Undefined: the answer would have been too large. */
async function firstAnswers(
  cache: BinaryRedis,
  heads: readonly KeyHead[],
  limits: ReadLimits,
): Promise<Answer[] | undefined> {
  const questions = heads.map(({ key, type }) => {
    const pages = pagesOf[type]
    return pages.command(key, pages.first, type === 'string' ? limits.pieceBytes : limits.pageItems)
  })
  try {
    const { answerBytes, togetherBytes } = limits
    const maxBytes = heads.length > 1 ? Math.min(answerBytes, togetherBytes) : answerBytes
    return await cache.send(questions, { maxBytes })
  } catch (error) {
    if (error instanceof AnswerTooLarge) return undefined
    throw error
  }
}
