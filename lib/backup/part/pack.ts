import { createHash } from 'node:crypto'
import { once } from 'node:events'
import type { Transform } from 'node:stream'
import { codecOfNew } from '../codec/codec.ts'

/** A part that is compressed and has no key yet; see Written. */
export type Packed = { body: Buffer; bytes: number; sha256: string; plain: number; longest: number }

/** The bytes of a part before compression, and those of its longest line and of the one that has not ended. */
export type PlainSize = { plain: number; longest: number; line: number }

/** Room for what a part is compressed to, which the next part has again. */
export class PackedRoom {
  #bytes: Buffer
  #filled = 0

  /** @param size how much there is; more is made when a part takes it */
  constructor(size: number) {
    this.#bytes = Buffer.allocUnsafeSlow(size)
  }

  get filled(): Buffer {
    return this.#bytes.subarray(0, this.#filled)
  }

  empty(): void {
    this.#filled = 0
  }

  add(chunk: Buffer): void {
    const bytes = this.#filled + chunk.length
    if (bytes > this.#bytes.length) this.#bytes = Buffer.concat([this.filled], Math.ceil(bytes * 1.25))
    this.#bytes.set(chunk, this.#filled)
    this.#filled = bytes
  }
}

/**
 * Compresses the lines of a part as they come and keeps what comes of it, for a source that can be read only once: what
 * is compressed can be sent again, under another key.
 */
export class PartPacker {
  readonly #packer = codecOfNew.compress()
  readonly #room: PackedRoom
  readonly #size: PlainSize = { plain: 0, longest: 0, line: 0 }

  /** @param room is emptied, and the part's own until the next one is given it */
  constructor(room: PackedRoom) {
    room.empty()
    this.#room = room
    this.#packer.on('error', () => {}) // whoever waits for a chunk, or for the end, is told
    this.#packer.on('data', (chunk: Buffer) => room.add(chunk))
  }

  /** Bytes that have come of it so far. */
  get bytes(): number {
    return this.#room.filled.length
  }

  /** Waits until a chunk is compressed, after which its memory may be used for the next. */
  async add(chunk: Buffer): Promise<void> {
    measure(this.#size, chunk)
    await written(this.#packer, chunk)
  }

  async end(): Promise<Packed> {
    const ended = once(this.#packer, 'end')
    this.#packer.end()
    await ended
    const body = this.#room.filled
    const { plain, longest } = this.#size
    const sha256 = createHash('sha256').update(body).digest('hex')
    return { body, bytes: body.length, sha256, plain, longest }
  }
}

/** Waits until a chunk is compressed, after which its memory may be used for the next, or until nothing is any more. */
export function written(packer: Transform, chunk: Buffer): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      packer.off('close', done)
      resolve()
    }
    packer.once('close', done)
    packer.write(chunk, done)
  })
}

/** Adds a chunk to the size of what is written. A line may go on over several chunks. */
export function measure(size: PlainSize, chunk: Buffer): void {
  size.plain += chunk.length
  let start = 0
  for (let end = chunk.indexOf(0x0a); end !== -1; end = chunk.indexOf(0x0a, start)) {
    size.longest = Math.max(size.longest, size.line + end + 1 - start)
    size.line = 0
    start = end + 1
  }
  size.line += chunk.length - start
  size.longest = Math.max(size.longest, size.line)
}
