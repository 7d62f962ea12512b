const unstorable = /\p{Cs}|\0/u

/** Whether Postgres takes the text: it refuses NUL, and half of a surrogate pair in jsonb. */
export function isStorable(text: string): boolean {
  return !unstorable.test(text)
}

/**
 * The same value with every text such that the ledger takes it: half of a surrogate pair becomes U+FFFD, NUL the six
 * characters of its escape. A key of the cache or of a bucket may hold either, and a text that was cut the former.
 */
export function storable<Value>(value: Value): Value {
  return convert(value) as Value
}

function convert(value: unknown): unknown {
  if (typeof value === 'string') {
    return isStorable(value) ? value : value.toWellFormed().replaceAll('\0', '\\u0000')
  }
  if (Array.isArray(value)) return value.map(convert)
  if (typeof value !== 'object' || value === null || value instanceof Date) return value
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [convert(key), convert(one)]))
}
