import type * as z from 'zod'
import { PackedRoom, PartPacker } from '../../backup/part/pack.ts'
import { writePacked } from '../../backup/part/write.ts'
import type { CachePart } from '../../backup/sections/cache.ts'
import type { Bucket } from '../../s3/bucket.ts'
import type { KeyLine } from '../value/read.ts'

/** Bytes handed to the compression at once; single lines would cost more than they weigh. */
const chunkBytes = 256 * 2 ** 10

/** Bytes that a character of a string takes at most as UTF-8: one outside the first 65,536 is two of them. */
const bytesOfCharacter = 3

const utf8 = new TextEncoder()

/** Bytes of a part when it is compressed, from which on the next one begins: it is kept until it was read back. */
const packedBytes = 6 * 2 ** 20

/**
 * Compresses lines as they come and writes a part whenever `partBytes` (uncompressed) are together, or it is large when it
 * is compressed. It stays in memory until it was read back, because a part whose key turns out to be taken is sent
 * once more. Memory: two chunks and what a part is compressed to, the same for all parts.
 */
export class PartWriter {
  readonly parts: z.output<typeof CachePart>[] = []
  readonly #bucket: Bucket
  readonly #keyOf: (part: number, copy: number) => string
  readonly #partBytes: number
  readonly #room = new PackedRoom(packedBytes + 2 * chunkBytes)
  #packer = new PartPacker(this.#room)
  #keys = 0
  #plain = 0
  /** Is filled with lines while the other one is compressed, so that no line needs memory of its own. */
  #chunk = Buffer.allocUnsafeSlow(chunkBytes)
  #other = Buffer.allocUnsafeSlow(chunkBytes)
  #filled = 0
  #compressed: Promise<void> = Promise.resolve()

  constructor(
    bucket: Bucket,
    { keyOf, partBytes }: { keyOf: (part: number, copy: number) => string; partBytes: number },
  ) {
    this.#bucket = bucket
    this.#keyOf = keyOf
    this.#partBytes = partBytes
  }

  /** @returns how many keys begin with these lines */
  async add(lines: Iterable<KeyLine>): Promise<number> {
    let begun = 0
    for (const { line, begins } of lines) {
      if (this.#isFull(line)) await this.end()
      const most = line.length * bytesOfCharacter
      if (most > chunkBytes - this.#filled) await this.#flush()
      if (most > chunkBytes) await this.#addPieces(line)
      else this.#filled += this.#chunk.write(line, this.#filled)
      if (!begins) continue
      begun++
      this.#keys++
    }
    return begun
  }

  /** Writes what is left. */
  async end(): Promise<void> {
    await this.#flush()
    await this.#compressed
    if (this.#plain === 0) return
    const packed = await this.#packer.end()
    const number = this.parts.length
    const written = await writePacked(this.#bucket, (copy) => this.#keyOf(number, copy), packed)
    this.parts.push({ ...written, keys: this.#keys })
    this.#packer = new PartPacker(this.#room)
    this.#keys = 0
    this.#plain = 0
  }

  #isFull(next: string): boolean {
    const plain = this.#plain + this.#filled
    return plain > 0 && (plain + next.length > this.#partBytes || this.#packer.bytes > packedBytes)
  }

  /** A line that may be longer than a chunk, in pieces of whole characters. */
  async #addPieces(line: string): Promise<void> {
    for (let at = 0; at < line.length; ) {
      const { read, written } = utf8.encodeInto(line.slice(at), this.#chunk.subarray(this.#filled))
      at += read
      this.#filled += written
      if (at < line.length) await this.#flush()
    }
  }

  async #flush(): Promise<void> {
    if (this.#filled === 0) return
    const full = this.#chunk.subarray(0, this.#filled)
    this.#filled = 0
    await this.#compress(full)
    ;[this.#chunk, this.#other] = [this.#other, this.#chunk]
  }

  /** Waits for the chunk before, whose memory is free from then on. */
  async #compress(chunk: Buffer): Promise<void> {
    this.#plain += chunk.length
    await this.#compressed
    this.#compressed = this.#packer.add(chunk)
  }
}
