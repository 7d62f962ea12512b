import { isUtf8 } from 'node:buffer'

/** What a line of a part is not. The message says which line, and nothing of what it holds. */
export class NotARow extends Error {
  override readonly name = 'NotARow'
}

/**
 * The lines of a part as COPY's text format has them, some at a time and always whole ones. It is nearly the same text: a
 * string's escapes are COPY's own but for control characters, and numbers, true and false are written alike. So each value
 * is moved to where it belongs, and none is read. What stands there is proved by comparing the loaded rows.
 * Takes the chunks' memory for its own.
 * @param columns in the order in which a line has them
 * @throws NotARow
 * @see docs/decisions.md#lines-become-copys-text-on-their-way
 */
export async function* copyTextOf(
  chunks: AsyncIterable<Buffer>,
  columns: readonly { name: string }[],
): AsyncGenerator<Buffer> {
  const lines = new Lines(columns)
  let rest: Buffer[] = []
  for await (const chunk of chunks) {
    const end = chunk.lastIndexOf(lineEnd) + 1
    if (end === 0 && chunk.length > 0) rest.push(chunk)
    if (end === 0) continue
    const whole = chunk.subarray(0, end)
    const together = rest.length === 0 ? whole : Buffer.concat([...rest, whole])
    // Before they are given away: they would lie beside what is made of them while that is sent.
    rest = end === chunk.length ? [] : [chunk.subarray(end)]
    yield lines.rewrite(together)
  }
  if (rest.length > 0) throw new NotARow('its last line does not end')
}

const [tab, lineEnd, carriageReturn, space, quote, backslash] = [0x09, 0x0a, 0x0d, 0x20, 0x22, 0x5c]
const neverPlain = [0x00, tab, carriageReturn]
const nothing: Buffer = Buffer.alloc(0)
const [zero, nine, hexEscape] = [0x30, 0x39, 0x78]
const [nullWord, nullAsText] = [Buffer.from('null'), Buffer.from('\\N')]
const [trueWord, falseWord] = [Buffer.from('true'), Buffer.from('false')]
const afterBackslash = bytesOf('"\\/bfnrt')
const ofNumbers = bytesOf('+-.0123456789Ee')
const number = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[Ee][+-]?[0-9]+)?$/
/** A longer run of plain bytes is found and moved by calls, which cost as much as so many turns of a loop. */
const shortRun = 24

function bytesOf(text: string): Uint8Array {
  const table = new Uint8Array(256)
  for (const byte of Buffer.from(text)) table[byte] = 1
  return table
}

/** Where the next value is read and where it is written, in the same bytes: what is written is never longer than what was read. */
class Lines {
  /** What stands before each value, and behind the last. */
  readonly #keys: readonly Buffer[]
  readonly #close: Buffer
  #line = 0
  #data: Buffer = nothing
  #from = 0
  #to = 0
  #nextQuote = 0
  #nextBackslash = 0
  #nextLineEnd = 0

  constructor(columns: readonly { name: string }[]) {
    this.#keys = columns.map(({ name }, at) => Buffer.from(`${at === 0 ? '{' : ','}${JSON.stringify(name)}:`))
    this.#close = Buffer.from(columns.length === 0 ? '{}\n' : '}\n')
  }

  /** @param data whole lines: the end of each stops what goes astray */
  rewrite(data: Buffer): Buffer {
    this.#data = data
    this.#from = this.#to = 0
    this.#nextQuote = this.#nextBackslash = this.#nextLineEnd = -1
    // Long runs are moved unseen, and these mean something to COPY; it takes other control characters as they are.
    if (!isUtf8(data) || neverPlain.some((byte) => data.includes(byte)))
      throw new NotARow(`behind its line ${this.#line} it is not JSON`)
    while (this.#from < data.length) {
      this.#line += 1
      for (const [at, key] of this.#keys.entries()) {
        this.#expect(key)
        if (at > 0) data[this.#to++] = tab
        this.#value()
      }
      this.#expect(this.#close)
      data[this.#to++] = lineEnd
    }
    this.#data = nothing
    return data.subarray(0, this.#to)
  }

  #value(): void {
    const first = this.#data[this.#from] as number
    if (first === quote) this.#string()
    else if (first === nullWord[0]) this.#word(nullWord, nullAsText)
    else if (first === trueWord[0]) this.#word(trueWord, trueWord)
    else if (first === falseWord[0]) this.#word(falseWord, falseWord)
    else this.#number()
  }

  #word(word: Buffer, asText: Buffer): void {
    this.#expect(word)
    for (let at = 0; at < asText.length; at++) this.#data[this.#to++] = asText[at] as number
  }

  #number(): void {
    const data = this.#data
    let [from, to] = [this.#from, this.#to]
    let byte = data[from] as number
    let isWhole = byte !== zero
    for (; ofNumbers[byte] === 1; byte = data[++from] as number) {
      data[to++] = byte
      if (byte < zero || byte > nine) isWhole = false
    }
    // Most are whole numbers, which need no second look.
    const isNumber = isWhole ? to > this.#to : number.test(data.toString('latin1', this.#to, to))
    if (!isNumber) throw this.#astray()
    this.#from = from
    this.#to = to
  }

  #string(): void {
    const data = this.#data
    let from = this.#from + 1
    let to = this.#to
    let run = from + shortRun
    for (;;) {
      const byte = data[from++] as number
      if (byte === quote) break
      if (byte < space) throw this.#astray()
      data[to++] = byte
      if (byte === backslash) {
        const escaped = data[from++] as number
        if (afterBackslash[escaped] === 1) data[to++] = escaped
        else {
          to = this.#controlCharacter(from - 1, to)
          from += 4
        }
      } else if (from > run) {
        const end = this.#plainUntil(from)
        data.copyWithin(to, from, end)
        to += end - from
        from = end
        run = from + shortRun
      }
    }
    this.#from = from
    this.#to = to
  }

  /**
   * The end of the string, the next escape, or the end of the line, which only damage has first.
   * Each is remembered: looked for anew behind every line of it, a document of 8 MB took half a minute.
   */
  #plainUntil(from: number): number {
    if (this.#nextQuote < from) this.#nextQuote = this.#next(quote, from)
    if (this.#nextBackslash < from) this.#nextBackslash = this.#next(backslash, from)
    if (this.#nextLineEnd < from) this.#nextLineEnd = this.#next(lineEnd, from)
    return Math.min(this.#nextQuote, this.#nextBackslash, this.#nextLineEnd)
  }

  #next(byte: number, from: number): number {
    const at = this.#data.indexOf(byte, from)
    return at === -1 ? this.#data.length : at
  }

  /** `\u001f`, which is the only way that Postgres writes by number, is COPY's `\x1f`. */
  #controlCharacter(from: number, to: number): number {
    const data = this.#data
    const code = data.toString('latin1', from, from + 5)
    if (!/^u00[01][0-9a-f]$/.test(code) || code === 'u0000') throw this.#astray()
    data[to] = hexEscape
    data[to + 1] = code.charCodeAt(3)
    data[to + 2] = code.charCodeAt(4)
    return to + 3
  }

  #expect(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; at++)
      if (this.#data[this.#from + at] !== bytes[at]) throw this.#astray()
    this.#from += bytes.length
  }

  #astray(): NotARow {
    return new NotARow(`its line ${this.#line} is not a row of the table's columns`)
  }
}
