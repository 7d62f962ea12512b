import * as z from 'zod'
import { parseJson as boundedJson, documentBounds } from '../../backup/documents/json.ts'
import { readPartLines } from '../../backup/part/read.ts'
import type { CachePart } from '../../backup/sections/cache.ts'
import { BackupDamaged, NotFound } from '../../errors.ts'
import type { Bucket } from '../../s3/bucket.ts'
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
  expiresAt: z.number().int().nonnegative().nullable(),
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
  let before: DecodedLine | undefined
  for (const part of parts) {
    let lines = 0
    let keys = 0
    for await (const text of linesOf(bucket, part)) {
      const line = decode(text)
      lines++
      if (line === undefined) throw damaged(bucket, part, `its line ${lines} describes no key`)
      if (line.part === 1) keys++
      else if (!continues(line, before)) {
        throw damaged(bucket, part, `its line ${lines} continues a key that is not the one before it`)
      }
      before = line
      yield line
    }
    if (keys !== part.keys) {
      throw damaged(bucket, part, `it holds ${keys} keys, but the manifest says ${part.keys}`)
    }
  }
}

async function* linesOf(bucket: Bucket, part: Part): AsyncGenerator<Buffer> {
  try {
    yield* readPartLines(bucket, part.key, part)
  } catch (cause) {
    if (cause instanceof NotFound) throw damaged(bucket, part, 'it does not exist', cause)
    throw cause
  }
}

function decode(text: Buffer): DecodedLine | undefined {
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
    expiresAt,
    bytes: text.length,
    ...(parsed.data.type === 'stream' ? { stream: parsed.data.stream } : {}),
  }
}

type Json = JsonBytes | Json[]

function itemOf(json: Json): Item {
  return Array.isArray(json) ? json.map(itemOf) : fromJsonBytes(json)
}

function continues(line: DecodedLine, before: DecodedLine | undefined): boolean {
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
    return boundedJson(text.toString(), documentBounds)
  } catch {
    return undefined // no schema accepts it
  }
}
