const magic = 0xfd2fb528
const [startBytes, blockHeaderBytes, checksumBytes] = [5, 3, 4]

/** By the two bits of the descriptor that say so. */
const dictionaryBytes = [0, 1, 2, 4]

/** Blocks of which one byte is there, however long they are, and those of a later format. */
const [repeated, reserved] = [1, 3]

/**
 * Where the frames of zstd end in bytes that come in chunks. Only headers are looked at: a frame says of each of its blocks
 * how long it is, and which is the last.
 * @see https://www.rfc-editor.org/rfc/rfc8878.html#section-3.1
 */
export class FrameWalk {
  /** Bytes that the frame decompresses to, as its header says; undefined when it does not. */
  content: number | undefined
  /** Whether the header of the frame has been read. */
  isHeaderRead = false
  /** Whether a frame has begun and not ended. */
  isWithin = false

  /** What is to be understood next, as far as it has come. */
  readonly #field = Buffer.alloc(16)
  #filled = 0
  #wanted = startBytes
  #understand: () => void = this.#start
  #contentBytes = 0
  #hasChecksum = false
  /** Bytes that say nothing about where it ends. */
  #skipped = 0
  #isLast = false

  /** How far the frame goes on in a chunk, from `at` on. @throws when what is there is no frame */
  advance(chunk: Buffer, at: number): { to: number; isEnd: boolean } {
    if (!this.isWithin) this.#begin()
    for (let to = at; ; ) {
      const skipped = Math.min(this.#skipped, chunk.length - to)
      this.#skipped -= skipped
      to += skipped
      if (this.#skipped > 0) return { to, isEnd: false }
      if (this.#isLast) {
        this.isWithin = false
        return { to, isEnd: true }
      }
      const read = chunk.copy(this.#field, this.#filled, to, to + this.#wanted - this.#filled)
      this.#filled += read
      to += read
      if (this.#filled < this.#wanted) return { to, isEnd: false }
      this.#filled = 0
      this.#understand()
    }
  }

  #begin(): void {
    this.isWithin = true
    this.isHeaderRead = false
    this.content = undefined
    this.#isLast = false
    this.#await(startBytes, this.#start)
  }

  #await(bytes: number, understand: () => void): void {
    this.#wanted = bytes
    this.#understand = understand
  }

  #start(): void {
    if (this.#field.readUInt32LE(0) !== magic) throw new Error('it holds something else than frames of zstd')
    const descriptor = this.#field.readUInt8(4)
    const isOneSegment = (descriptor & 0x20) !== 0
    this.#hasChecksum = (descriptor & 0x04) !== 0
    const size = descriptor >> 6
    this.#contentBytes = size === 0 ? Number(isOneSegment) : 1 << size
    const window = Number(!isOneSegment)
    this.#await(window + (dictionaryBytes[descriptor & 0x03] ?? 0) + this.#contentBytes, this.#header)
  }

  #header(): void {
    const at = this.#wanted - this.#contentBytes
    if (this.#contentBytes === 1) this.content = this.#field.readUInt8(at)
    else if (this.#contentBytes === 2) this.content = this.#field.readUInt16LE(at) + 256
    else if (this.#contentBytes === 4) this.content = this.#field.readUInt32LE(at)
    else if (this.#contentBytes === 8) this.content = Number(this.#field.readBigUInt64LE(at))
    this.isHeaderRead = true
    this.#await(blockHeaderBytes, this.#block)
  }

  #block(): void {
    const header = this.#field.readUIntLE(0, blockHeaderBytes)
    const type = (header >> 1) & 0x03
    if (type === reserved) throw new Error('it holds a frame with a block of no known kind')
    this.#isLast = (header & 0x01) !== 0
    this.#skipped = type === repeated ? 1 : header >> 3
    if (this.#isLast && this.#hasChecksum) this.#skipped += checksumBytes
  }
}
