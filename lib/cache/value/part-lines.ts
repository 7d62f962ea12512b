import * as z from 'zod'
import { parseJson as boundedJson, lineBounds } from '../../backup/documents/json.ts'
import { readPartLinesTogether } from '../../backup/part/read.ts'
import type { CachePart } from '../../backup/sections/cache.ts'
import { BackupDamaged, NotFound } from '../../errors.ts'
import type { Bucket } from '../../s3/bucket.ts'
import { lastMoment } from './expiry.ts'
import { fromJsonBytes, JsonBytes } from './json-bytes.ts'
import type { KeyHead } from './lines.ts'
import type { Item } from './pages.ts'
import { StreamState } from './stream.ts'

export type Part = z.output<typeof CachePart>

/** A line of a cache part, decoded, and its bytes. A key begins with `part` 1; unless it is `whole`, 2, 3, … continue it. */
export type DecodedLine = KeyHead & {
  part: number
  whole: boolean
  items: Item[]
  bytes: number
  stream?: StreamState | undefined
}

const Pair = z.tuple([JsonBytes, JsonBytes])
const Field = z.union([Pair, z.tuple([JsonBytes, JsonBytes, z.string().regex(/^\d{1,15}$/)])])
const Score = z.string().regex(/^([+-]?inf|[+-]?[\d.]+(e[+-]?\d+)?)$/i)
const head = {
  key: JsonBytes,
  part: z.number().int().positive().optional(),
  expiresAt: z.number().refine(Number.isInteger).nonnegative().nullable(), // earlier versions wrote any: see lastMoment
}

/** What keyLine writes. */
const Line = z.discriminatedUnion('type', [
  z.strictObject({ ...head, type: z.literal('string'), value: JsonBytes }),
  z.strictObject({ ...head, type: z.literal('list'), value: z.array(JsonBytes) }),
  z.strictObject({ ...head, type: z.literal('set'), value: z.array(JsonBytes) }),
  z.strictObject({ ...head, type: z.literal('hash'), value: z.array(Field) }),
  z.strictObject({ ...head, type: z.literal('zset'), value: z.array(z.tuple([JsonBytes, Score])) }),
  z.strictObject({
    ...head,
    type: z.literal('stream'),
    value: z.array(z.tuple([z.string().regex(/^\d+-\d+$/), z.array(JsonBytes).min(2)])),
    stream: StreamState.optional(),
  }),
])

/**
 * The lines of all parts of a cache, in order. Some come before the last byte of their part is checked; what is made of
 * them counts only when it ended without an error. Memory: one line.
 * @throws BackupDamaged naming the part that is missing, has other bytes than the manifest says, or holds what is no key
 */
export async function* readLines(bucket: Bucket, parts: readonly Part[]): AsyncGenerator<DecodedLine> {
  for await (const lines of readLinesTogether(bucket, parts)) yield* lines
}

/** The same, those together that came together; each is decoded when it is taken. */
export async function* readLinesTogether(
  bucket: Bucket,
  parts: readonly Part[],
): AsyncGenerator<Iterable<DecodedLine>> {
  const counts: Counts = { lines: 0, keys: 0, before: undefined }
  for (const part of parts) {
    counts.lines = counts.keys = 0
    for await (const texts of textsOf(bucket, part)) yield decodeAll(bucket, part, { texts, counts })
    if (counts.keys !== part.keys) {
      throw damaged(bucket, part, `it holds ${counts.keys} keys, but the manifest says ${part.keys}`)
    }
  }
}

/** Of the part that is read, and the line before, which may be of another one. */
type Counts = { lines: number; keys: number; before: DecodedLine | undefined }

function* decodeAll(
  bucket: Bucket,
  part: Part,
  { texts, counts }: { texts: readonly Buffer[]; counts: Counts },
): Generator<DecodedLine> {
  for (const text of texts) {
    const line = decode(text)
    counts.lines++
    if (line === undefined) throw damaged(bucket, part, `its line ${counts.lines} describes no key`)
    if (line.part === 1) counts.keys++
    else if (!continues(line, counts.before)) {
      throw damaged(bucket, part, `its line ${counts.lines} continues a key that is not the one before it`)
    }
    counts.before = line
    yield line
  }
}

async function* textsOf(bucket: Bucket, part: Part): AsyncGenerator<Buffer[]> {
  try {
    yield* readPartLinesTogether(bucket, part.key, part)
  } catch (cause) {
    if (cause instanceof NotFound) throw damaged(bucket, part, 'it does not exist', cause)
    throw cause
  }
}

/** undefined: the line describes no key. */
export function decode(text: Buffer): DecodedLine | undefined {
  const parsed = Line.safeParse(parseJson(text))
  if (!parsed.success) return undefined
  const { key, type, part, value, expiresAt } = parsed.data
  const items = type === 'string' ? [fromJsonBytes(value)] : (value as Json[]).map(itemOf)
  return {
    key: fromJsonBytes(key),
    type,
    part: part ?? 1,
    whole: part === undefined,
    items,
    expiresAt: expiresAt && Math.min(expiresAt, lastMoment),
    bytes: text.length,
    ...(parsed.data.type === 'stream' ? { stream: parsed.data.stream } : {}),
  }
}

type Json = JsonBytes | Json[]

function itemOf(json: Json): Item {
  return Array.isArray(json) ? json.map(itemOf) : fromJsonBytes(json)
}

export function continues(line: DecodedLine, before: DecodedLine | undefined): boolean {
  if (before === undefined || before.whole) return false
  return line.part === before.part + 1 && line.type === before.type && line.key.equals(before.key)
}

function damaged(bucket: Bucket, part: Part, problem: string, cause?: Error): BackupDamaged {
  return new BackupDamaged(
    `s3://${bucket.name}/${part.key} is damaged: ${problem}. Use another backup`,
    cause && { cause },
  )
}

/** Without the parser's error, which would quote what was parsed. */
function parseJson(text: Buffer): unknown {
  try {
    return boundedJson(text.toString(), lineBounds)
  } catch {
    return undefined // no schema accepts it
  }
}
