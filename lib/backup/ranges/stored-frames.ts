import type { PartPiece, Range } from './range.ts'
import { hashBytes, rangeBytes } from './sidecar.ts'

/**
 * The frames of a part as they are stored, with the hashes of their rows: any of them, in the order of the part. Both are
 * read along, so that neither is in memory. Memory: a frame and its hashes, and what of the objects came with them.
 */
export class StoredFrames {
  readonly #ranges: readonly Range[]
  readonly #frames: BytesInOrder
  readonly #hashes: BytesInOrder
  /** Which frame comes next. */
  #place = 0

  /**
   * @param stored the bytes of the part, which throw at their end when the digest is not the part's
   * @param sidecar those of its sidecar, which do the same
   */
  constructor(ranges: readonly Range[], stored: AsyncGenerator<Buffer>, sidecar: AsyncGenerator<Buffer>) {
    this.#ranges = ranges
    this.#frames = new BytesInOrder(stored)
    this.#hashes = new BytesInOrder(sidecar)
    this.#hashes.pass(rangeBytes * ranges.length)
  }

  async frame(place: number): Promise<PartPiece> {
    for (; this.#place < place; this.#place++) {
      const passed = this.#ranges[this.#place] as Range
      this.#frames.pass(passed.length)
      this.#hashes.pass(hashBytes * passed.rows)
    }
    const range = this.#ranges[place] as Range
    this.#place++
    return {
      taken: await this.#frames.take(range.length),
      range,
      hashes: await this.#hashes.take(hashBytes * range.rows),
    }
  }

  /** Reads what is left, behind which the digests are compared. @throws BackupDamaged */
  async end(): Promise<void> {
    await Promise.all([this.#frames.end(), this.#hashes.end()])
  }

  /** Lets go of the objects, read to their ends or not. */
  async close(): Promise<void> {
    await Promise.all([this.#frames.close(), this.#hashes.close()])
  }
}

/** Bytes as they stream in, of which some are taken and others passed. */
class BytesInOrder {
  readonly #bytes: AsyncGenerator<Buffer>
  /** What came and was neither taken nor passed. */
  #held: Buffer = Buffer.alloc(0)
  #passing = 0

  constructor(bytes: AsyncGenerator<Buffer>) {
    this.#bytes = bytes
  }

  pass(length: number): void {
    this.#passing += length
  }

  /** A view of what came, where that is all in one chunk: only what lies across their ends is copied. */
  async take(length: number): Promise<Buffer> {
    await this.#pass()
    const first = this.#held
    if (first.length >= length) {
      this.#held = first.subarray(length)
      return first.subarray(0, length)
    }
    const taken = Buffer.allocUnsafe(length)
    let filled = first.copy(taken)
    while (filled < length) {
      const next = await this.#next()
      const copied = next.copy(taken, filled)
      this.#held = next.subarray(copied)
      filled += copied
    }
    return taken
  }

  async #pass(): Promise<void> {
    while (this.#passing > 0) {
      if (this.#held.length === 0) this.#held = await this.#next()
      const passed = Math.min(this.#passing, this.#held.length)
      this.#held = this.#held.subarray(passed)
      this.#passing -= passed
    }
  }

  async #next(): Promise<Buffer> {
    const { value, done } = await this.#bytes.next()
    if (done) throw new Error('The object ended before its last byte, with the digest that was said.')
    return value
  }

  async end(): Promise<void> {
    this.#held = Buffer.alloc(0)
    for await (const _ of this.#bytes);
  }

  async close(): Promise<void> {
    await this.#bytes.return(undefined)
  }
}
