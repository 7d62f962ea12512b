import fc from 'fast-check'

/** Any bytes, as keys, members and values are. */
const bytes = fc
  .oneof(fc.uint8Array({ maxLength: 40 }), fc.string({ unit: 'binary' }))
  .map((value) => Buffer.from(value as string))

const score = fc
  .double({ noNaN: true })
  .map((value) => (Math.abs(value) === Infinity ? (value > 0 ? 'inf' : '-inf') : String(value)))

/** A key, and the command without it that makes its value. */
export type WrittenKey = [key: Buffer, written: { command: string; args: (string | Buffer)[] }]

/** A key of any type, of collections with up to `most` elements. */
export function anyKey(most = 30): fc.Arbitrary<WrittenKey> {
  const some = fc.array(bytes, { minLength: 1, maxLength: most })
  const written = fc.oneof(
    fc.record({ command: fc.constant('SET'), args: bytes.map((value) => [value]) }),
    fc.record({ command: fc.constantFrom('RPUSH', 'SADD'), args: some }),
    fc.record({
      command: fc.constant('HSET'),
      args: some.map((fields) => fields.flatMap((field) => [field, field])),
    }),
    fc.record({
      command: fc.constant('ZADD'),
      args: fc.array(fc.tuple(score, bytes), { minLength: 1, maxLength: most }).map((pairs) => pairs.flat()),
    }),
    fc.record({ command: fc.constant('XADD'), args: bytes.map((value) => ['*', value, value]) }),
  )
  return fc.tuple(bytes, written)
}

/** Keys of different names. */
export const anyKeys = fc.uniqueArray(anyKey(), { maxLength: 20, selector: ([key]) => key.toString('hex') })

/** Names and values that look like something else, or that careless quoting loses. */
export const oddTexts = [
  ...['123', '1e3', '{"a": 1}', '["x"]', 'null', 'true', '"', '\\', '\n', '\r\n', '\u2028', '', ' '],
  ...['é😀', 'OK', 'T0s=', '\u0000', '=a', '@a', '#61'],
]
