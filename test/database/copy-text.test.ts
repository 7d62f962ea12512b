import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { copyTextOf } from '../../lib/database/copy/copy-text.ts'

type Value = string | number | boolean | null

const value: fc.Arbitrary<Value> = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 80 }).map((text) => text.replaceAll('\0', '')),
  fc.constantFrom(
    '',
    '\\',
    '\\N',
    '\\.',
    '"',
    '\t',
    '\r\n',
    '\u0001f',
    '\u001f0',
    'é\u2028😀',
    'long '.repeat(30),
  ),
  fc.string({ minLength: 30, maxLength: 60 }).map((text) => `${'plain '.repeat(9)}${text}"\\`),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.boolean(),
  fc.constant(null),
)
const table = fc
  .uniqueArray(fc.string({ minLength: 1, maxLength: 10 }), { maxLength: 5 })
  .chain((names) =>
    fc.tuple(fc.constant(names), fc.array(fc.tuple(...names.map(() => value)), { maxLength: 6 })),
  )

describe('lines of a part as COPY text', () => {
  it('give COPY the values of every row, however the bytes are cut', async () => {
    await fc.assert(
      fc.asyncProperty(table, fc.array(fc.integer({ min: 1, max: 60 })), async ([names, rows], cuts) => {
        const lines = rows.map((row) => lineOf(names, row))
        const found = await copied(inPieces(Buffer.from(lines.join('')), cuts), names)
        expect(readCopy(found, names.length)).toEqual(rows.map((row) => row.map(asText)))
      }),
    )
  })

  it.each([
    ['a column less', '{"a":1}\n'],
    ['a column more', '{"a":1,"b":"x","c":2}\n'],
    ['another column', '{"a":1,"c":"x"}\n'],
    ['another order', '{"b":"x","a":1}\n'],
    ['no value', '{"a":,"b":"x"}\n'],
    ['an array', '{"a":[1],"b":"x"}\n'],
    ['an object', '{"a":{},"b":"x"}\n'],
    ['white space', '{"a": 1,"b":"x"}\n'],
    ['a string that does not end', '{"a":1,"b":"x\n'],
    ['a raw control character', '{"a":1,"b":"x\ty"}\n'],
    ['an escape that JSON does not have', '{"a":1,"b":"\\v"}\n'],
    ['a NUL, which no text can hold', '{"a":1,"b":"\\u0000"}\n'],
    ['two rows in a line', '{"a":1,"b":"x"}{"a":1,"b":"x"}\n'],
    ['an empty line', '\n'],
    ['no end', '{"a":1,"b":"x"}'],
    ['a raw tab behind a long text', `{"a":1,"b":"${'x'.repeat(60)}\t2"}\n`],
    ['a raw NUL behind one', `{"a":1,"b":"${'x'.repeat(60)}\0"}\n`],
    ['a raw carriage return behind one', `{"a":1,"b":"${'x'.repeat(60)}\r"}\n`],
    ['a raw line end behind one, as two rows', `{"a":1,"b":"${'x'.repeat(60)}\n2\\t${'y'.repeat(60)}"}\n`],
    ['a number that is none', '{"a":1-1,"b":"x"}\n'],
    ['a number of two signs', '{"a":--1,"b":"x"}\n'],
    ['zeros before a number', '{"a":007,"b":"x"}\n'],
    ['half a word', '{"a":fal,"b":"x"}\n'],
    ['a byte that is not of UTF-8', Buffer.from('{"a":1,"b":"\xff"}\n', 'latin1')],
    ['half a surrogate pair', Buffer.from('{"a":1,"b":"\xed\xa0\xbd"}\n', 'latin1')],
  ])('are refused by the number of the line: %s', async (_, line) => {
    const bytes = Buffer.concat([Buffer.from('{"a":1,"b":"x"}\n'), Buffer.from(line)])
    const refused = copied(inPieces(bytes, []), ['a', 'b'])
    await expect(refused).rejects.toMatchObject({ name: 'NotARow', message: expect.stringMatching(/line/) })
  })

  it('take as long as they are, also those of a document that has thousands of lines and no quote', async () => {
    const text = `${'as long as lines of documents are, mostly '.repeat(2)}\n`.repeat(100_000)
    const bytes = Buffer.from(lineOf(['a'], [text]))
    const before = process.cpuUsage()
    const found = await copied(inPieces(bytes, Array(bytes.length >> 14).fill(2 ** 14)), ['a'])
    const { user, system } = process.cpuUsage(before)
    expect(found.length).toBe(text.length + 100_000 + 1)
    expect(user + system).toBeLessThan(5e6) // microseconds; it was more than ten times that
  })
})

function lineOf(names: readonly string[], row: readonly Value[]): string {
  const fields = names.map((name, at) => `${JSON.stringify(name)}:${JSON.stringify(row[at])}`)
  return `{${fields.join(',')}}\n`
}

async function* inPieces(bytes: Buffer, cuts: readonly number[]): AsyncGenerator<Buffer> {
  let start = 0
  for (const cut of cuts) {
    yield Buffer.from(bytes.subarray(start, start + cut))
    start += cut
  }
  yield Buffer.from(bytes.subarray(start))
}

async function copied(chunks: AsyncIterable<Buffer>, names: readonly string[]): Promise<string> {
  const pieces: Buffer[] = []
  for await (const piece of copyTextOf(
    chunks,
    names.map((name) => ({ name })),
  ))
    pieces.push(piece)
  return Buffer.concat(pieces).toString()
}

const letters: Record<string, string> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' }

/** As the documentation of COPY says that its text format is read. */
function readCopy(text: string, columns: number): (string | null)[][] {
  const lines = text.split('\n')
  expect(lines.pop()).toBe('')
  return lines.map((line) => {
    const fields = columns === 0 && line === '' ? [] : line.split('\t')
    expect(fields).toHaveLength(columns)
    return fields.map((field) => {
      if (field === '\\N') return null
      return field.replace(/\\(x[0-9a-fA-F]{1,2}|.)/gsu, (_, escaped: string) =>
        escaped.length > 1
          ? String.fromCharCode(Number.parseInt(escaped.slice(1), 16))
          : (letters[escaped] ?? escaped),
      )
    })
  })
}

function asText(value: Value): string | null {
  return value === null ? null : typeof value === 'string' ? value : JSON.stringify(value)
}
