import { randomFillSync } from 'node:crypto'

/** Of RFC 6455. */
export const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 }

type Sink = {
  /** A piece of a message, in the memory that it came in. */
  data: (bytes: Buffer) => void
  ping: (payload: Buffer) => void
  close: () => void
}

/** Most bytes of what may stand in a frame that is no message. */
const controlMaxBytes = 125

/** Takes the frames of a server apart as their bytes come, without putting them together first. */
export class FrameReader {
  readonly #sink: Sink
  /** Opcode and length: two bytes, and up to eight more. */
  readonly #head = Buffer.alloc(10)
  #headBytes = 0
  #missing = 0
  #control: Buffer[] = []

  constructor(sink: Sink) {
    this.#sink = sink
  }

  /** @throws Error at what no server may send */
  read(bytes: Buffer): void {
    let at = 0
    while (at < bytes.length) {
      if (this.#missing === 0) {
        at = this.#readHead(bytes, at)
        continue
      }
      const end = Math.min(at + this.#missing, bytes.length)
      this.#missing -= end - at
      this.#readPayload(bytes.subarray(at, end))
      at = end
    }
  }

  #readHead(bytes: Buffer, from: number): number {
    let at = from
    while (at < bytes.length) {
      this.#head[this.#headBytes++] = bytes[at++] as number
      if (this.#headBytes < headLength(this.#head)) continue
      this.#begin()
      break
    }
    return at
  }

  #begin(): void {
    const [first = 0, second = 0] = this.#head
    const length =
      second < 126
        ? second
        : second === 126
          ? this.#head.readUInt16BE(2)
          : Number(this.#head.readBigUInt64BE(2))
    this.#headBytes = 0
    const isTooLong = length > (isControl(first) ? controlMaxBytes : Number.MAX_SAFE_INTEGER)
    if ((first & 0x70) !== 0 || second > 127 || isTooLong)
      throw new Error('The WebSocket of the database sent a frame that no server may send')
    this.#missing = length
    if (length === 0) this.#readPayload(Buffer.alloc(0))
  }

  #readPayload(bytes: Buffer): void {
    const [first = 0] = this.#head
    if (!isControl(first)) {
      if (bytes.length > 0) this.#sink.data(bytes)
      return
    }
    this.#control.push(Buffer.from(bytes))
    if (this.#missing > 0) return
    const payload = Buffer.concat(this.#control)
    this.#control = []
    if ((first & 0x0f) === opcodes.ping) this.#sink.ping(payload)
    if ((first & 0x0f) === opcodes.close) this.#sink.close()
  }
}

function isControl(first: number): boolean {
  return (first & 0x08) !== 0
}

/** How long a head is, as far as its first two bytes say. */
function headLength([, second = 0]: Buffer): number {
  return second === 126 ? 4 : second === 127 ? 10 : 2
}

/** What a client sends has to be masked, with bytes that nobody can foresee. */
export function frame(opcode: number, payload: Uint8Array): Buffer {
  const { length } = payload
  const headBytes = length < 126 ? 2 : length < 2 ** 16 ? 4 : 10
  // The payload begins at a multiple of four, so that it can be masked by words.
  const skipped = -(headBytes + 4) & 3
  const bytes = Buffer.from(new ArrayBuffer(skipped + headBytes + 4 + length), skipped)
  bytes[0] = 0x80 | opcode
  bytes[1] = 0x80 | (headBytes === 2 ? length : headBytes === 4 ? 126 : 127)
  if (headBytes === 4) bytes.writeUInt16BE(length, 2)
  if (headBytes === 10) bytes.writeBigUInt64BE(BigInt(length), 2)
  const mask = randomFillSync(bytes.subarray(headBytes, headBytes + 4))
  bytes.set(payload, headBytes + 4)
  const words = new Int32Array(bytes.buffer, skipped + headBytes + 4, length >> 2)
  const [key = 0] = new Int32Array(bytes.buffer, skipped + headBytes, 1)
  for (let index = 0; index < words.length; index++) words[index] = (words[index] as number) ^ key
  for (let index = words.length * 4; index < length; index++) {
    const at = headBytes + 4 + index
    bytes[at] = (bytes[at] as number) ^ (mask[index & 3] as number)
  }
  return bytes
}
