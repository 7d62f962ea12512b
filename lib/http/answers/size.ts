import { beginning } from '../errors.ts'

/**
 * Bytes that a page or a document takes at most of an answer. Lambda takes 6 MB, and the answer is a text in its JSON, so
 * that each quotation mark counts twice.
 * @see docs/decisions.md#answers-are-bounded-where-they-are-made
 */
export const answerBytes = 4 * 2 ** 20

/** Bytes of a value in an answer. */
export function bytesInAnswer(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(JSON.stringify(value)))
}

/** The first of the items that fit; one at least, so that a page always leads on. */
export function fitting<Item>(items: readonly Item[], maxBytes = answerBytes): Item[] {
  let bytes = 0
  const end = items.findIndex((item) => {
    bytes += bytesInAnswer(item)
    return bytes > maxBytes
  })
  return end === -1 ? [...items] : items.slice(0, Math.max(end, 1))
}

/**
 * The value; when it would not fit, the beginnings of its lists, records and texts, and `abridged`, which says so. What
 * is counted (rows, objects, keys) stays what it is.
 */
export function abridged<Value extends object>(
  value: Value,
  maxBytes = answerBytes,
): Value & { abridged?: true } {
  if (bytesInAnswer(value) <= maxBytes) return value
  const tries = [10_000, 1000, 100, 10].map((most) => cut(value, most) as Value)
  const short = tries.find((one) => bytesInAnswer(one) <= maxBytes) ?? tries.at(-1) ?? value
  return { ...short, abridged: true }
}

function cut(value: unknown, most: number): unknown {
  if (typeof value === 'string') return beginning(value, Math.max(most, 200))
  if (Array.isArray(value)) return value.slice(0, most).map((one) => cut(one, most))
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).slice(0, Math.max(most, 100))
  return Object.fromEntries(entries.map(([key, one]) => [beginning(key), cut(one, most)]))
}
