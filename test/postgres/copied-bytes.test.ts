import fc from 'fast-check'
import { expect, it } from 'vitest'
import { CopiedBytes } from '../../lib/postgres/copied-bytes.ts'

/** A message of the server: its type, the length of what follows, and that. */
function message(type: string, content: Uint8Array): Buffer {
  const head = Buffer.from(`${type}....`)
  head.writeUInt32BE(content.length + 4, 1)
  return Buffer.concat([head, content])
}

/** Cuts at the places that the numbers say. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((one, other) => one - other)
  return [0, ...at].map((from, index) => bytes.subarray(from, at[index] ?? bytes.length))
}

const places = fc.array(fc.nat(10_000), { maxLength: 12 })

it('what a COPY sends is taken as it was sent, whatever pieces it comes in, and nothing of what comes behind it', () => {
  const copied = new CopiedBytes() // one for all: what an earlier COPY left must not show
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 3_000 }), { minLength: 1, maxLength: 5 }),
      places,
      (rows, cuts) => {
        const behind = Buffer.concat([message('c', Buffer.alloc(0)), message('C', Buffer.from('COPY 1\0'))])
        const sent = Buffer.concat([
          message('H', Buffer.from([1, 0, 1, 0, 1])),
          ...rows.map((row) => message('d', row)),
          behind,
        ])
        copied.clear()
        const left: Buffer[] = []
        for (const piece of cut(sent, cuts)) {
          const others = left.length > 0 ? piece : copied.take(piece)
          if (others !== null) left.push(others)
        }
        expect(copied.bytes.equals(Buffer.concat(rows))).toBe(true)
        expect(Buffer.concat(left).equals(behind)).toBe(true)
      },
    ),
  )
})

it('a COPY that was broken off in the middle leaves nothing to the next', () => {
  const copied = new CopiedBytes()
  const begin = message('H', Buffer.from([1, 0, 1, 0, 1]))
  copied.take(Buffer.concat([begin, message('d', Buffer.from('the first one')).subarray(0, 9)]))
  copied.clear()
  expect(copied.take(Buffer.concat([begin, message('d', Buffer.from('the second'))]))).toBeNull()
  expect(copied.bytes.toString()).toBe('the second')
})

it('what comes before the COPY begins is none of its data, also the rest of a message that begins as data does', () => {
  const [copied, rest] = [new CopiedBytes(), Buffer.from('d\0and what a setting is now\0')]
  expect(copied.take(rest)?.equals(rest)).toBe(true)
})

it.each([
  ['shorter than its length', 3],
  ['larger than Postgres makes any', 2 ** 30],
])('a message that is %s is refused, and no memory is taken for it', (_, length) => {
  const wrong = message('d', Buffer.alloc(0))
  wrong.writeUInt32BE(length, 1)
  const begin = message('H', Buffer.from([1, 0, 1, 0, 1]))
  expect(() => new CopiedBytes().take(Buffer.concat([begin, wrong]))).toThrow('no server may send')
})

it('pieces are given their end in the place of the byte behind each, and nothing else is another', () => {
  const bytes = fc.uint8Array({ maxLength: 300 })
  fc.assert(
    fc.property(fc.array(fc.record({ before: bytes, line: bytes })), (parts) => {
      const copied = new CopiedBytes()
      copied.add(Buffer.concat(parts.flatMap(({ before, line }) => [before, line, Buffer.from('?')])))
      let at = 0
      for (const { before, line } of parts) {
        const from = at + before.length
        at = from + line.length + 1
        const ended = copied.ended(copied.bytes.subarray(from, at - 1), 0x0a)
        expect(ended.equals(Buffer.concat([line, Buffer.from('\n')]))).toBe(true)
      }
      const expected = parts.flatMap(({ before, line }) => [before, line, Buffer.from('\n')])
      expect(copied.bytes.equals(Buffer.concat(expected))).toBe(true)
    }),
  )
})
