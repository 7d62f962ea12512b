const [copyData, copyOutResponse] = [0x64, 0x48] // 'd' and 'H'

/** Bytes; Postgres makes no message that is longer. */
const maxMessage = 2 ** 30 - 1

/** What the buffer grows by. */
const step = 2 ** 18

/**
 * The data of a COPY, out of the server's messages, in one buffer that is filled anew each time: new ones for thousands of
 * answers would keep the garbage collector busy.
 */
export class CopiedBytes {
  #buffer = Buffer.alloc(0)
  #used = 0
  /** Type and length of the message that comes in; the length counts itself, not the type. */
  readonly #head = Buffer.alloc(5)
  #headBytes = 0
  /** What is still to come of its data. */
  #missing = 0
  /** That the server has said that the COPY begins: before that, what looks as its data does is something else. */
  #hasBegun = false

  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#used)
  }

  clear(): void {
    this.#used = this.#headBytes = this.#missing = 0
    this.#hasBegun = false
  }

  add(data: Buffer): void {
    this.#reserve(data.length)
    this.#used += data.copy(this.#buffer, this.#used)
  }

  /** A piece of the bytes with `end` behind it, in the place of the byte that is there. */
  ended(piece: Buffer, end: number): Buffer {
    const from = piece.byteOffset - this.#buffer.byteOffset
    this.#buffer[from + piece.length] = end
    return this.#buffer.subarray(from, from + piece.length + 1)
  }

  /**
   * Takes in what the server sent, a message or a piece of one; gives back what begins with a message of another kind, or null.
   * @throws Error at what no server may send
   */
  take(sent: Buffer): Buffer | null {
    let at = 0
    while (at < sent.length) {
      if (this.#missing > 0) {
        const end = Math.min(at + this.#missing, sent.length)
        if (this.#head[0] === copyData) this.#used += sent.copy(this.#buffer, this.#used, at, end)
        this.#missing -= end - at
        at = end
        continue
      }
      const type = this.#headBytes === 0 ? sent[at] : this.#head[0]
      if (type !== (this.#hasBegun ? copyData : copyOutResponse)) return sent.subarray(at)
      const end = Math.min(at + this.#head.length - this.#headBytes, sent.length)
      this.#headBytes += sent.copy(this.#head, this.#headBytes, at, end)
      at = end
      if (this.#headBytes < this.#head.length) break
      this.#headBytes = 0
      this.#missing = this.#head.readUInt32BE(1) - 4
      if (this.#missing < 0 || this.#missing > maxMessage - 4)
        throw new Error('The database sent a message that no server may send')
      if (type === copyData) this.#reserve(this.#missing)
      this.#hasBegun = true
    }
    return null
  }

  #reserve(more: number): void {
    if (this.#used + more <= this.#buffer.length) return
    const larger = Buffer.allocUnsafeSlow(Math.ceil((this.#used + more) / step) * step)
    this.bytes.copy(larger)
    this.#buffer = larger
  }
}
