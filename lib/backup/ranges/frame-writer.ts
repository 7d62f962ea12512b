import { PassThrough, type Transform } from 'node:stream'
import { BackupDamaged, BackupIncomplete, messageOf } from '../../errors.ts'
import { codecOfNew } from '../codec/codec.ts'
import { FrameWalk } from '../codec/frame-walk.ts'
import { decompressFrames, wholeFrame } from '../codec/frames.ts'
import { measure, PackedRoom, type PlainSize, written } from '../part/pack.ts'
import { HashStore, sumOfHashes } from './hashes.ts'
import type { PartPiece, Range } from './range.ts'
import { sidecarBounds } from './sidecar.ts'

/** Bytes that wait to be sent before the next range is read. */
const ahead = 2 ** 20

/** Makes a part of its pieces, of each range with rows a frame, and notes what its sidecar is made of. */
export class FrameWriter {
  /** Where the part comes out. */
  readonly stored = new PassThrough({ highWaterMark: ahead })
  readonly ranges: Range[] = []
  readonly size: PlainSize = { plain: 0, longest: 0, line: 0 }
  readonly hashes = new HashStore()
  #rows = 0
  /** The lines of the range, as long as they are few. */
  readonly #lines = new PackedRoom(256 * 1024)
  readonly #packer = codecOfNew.packFrames()
  /** What compresses them when they are many. */
  #large: { packer: Transform; length: Promise<number> } | undefined

  /** Waits until the bytes of a piece are not needed any more. */
  async add(piece: PartPiece): Promise<void> {
    if ('lines' in piece) await this.#addLines(piece.lines)
    else if ('end' in piece) await this.#endRange(piece.end)
    else await this.#take(piece)
  }

  /** Nothing more is added; a range that has not come to its end is given up. */
  close(): void {
    this.#packer.close()
    this.#large?.packer.destroy()
  }

  async #addLines(lines: Buffer): Promise<void> {
    measure(this.size, lines)
    if (this.#large === undefined) {
      if (this.#lines.filled.length + lines.length <= wholeFrame) return this.#lines.add(lines)
      this.#large = this.#begin()
      await written(this.#large.packer, this.#lines.filled)
      this.#lines.empty()
    }
    await written(this.#large.packer, lines)
  }

  #begin(): { packer: Transform; length: Promise<number> } {
    const packer = codecOfNew.compress()
    const length = this.#pass(packer)
    length.catch(() => {}) // who waits for it is told, but the range may not come to its end
    return { packer, length }
  }

  async #pass(packer: Transform): Promise<number> {
    let length = 0
    for await (const chunk of packer as AsyncIterable<Buffer>) {
      length += chunk.length
      await written(this.stored, chunk)
    }
    return length
  }

  async #endRange({
    hashes,
    ...range
  }: {
    rows: number
    fingerprint: string
    hashes: Buffer
  }): Promise<void> {
    this.#note(hashes, range)
    const large = this.#large
    this.#large = undefined
    large?.packer.end()
    const length = large === undefined ? await this.#endWhole() : await large.length
    if ((length === 0) !== (range.rows === 0))
      throw incomplete(`A range of ${range.rows} rows has a frame of ${length} bytes`)
    this.ranges.push({ ...range, length })
  }

  async #endWhole(): Promise<number> {
    const lines = this.#lines.filled
    if (lines.length === 0) return 0
    const frame = await this.#packer.pack(lines)
    this.#lines.empty()
    await written(this.stored, frame)
    return frame.length
  }

  async #take({ taken, range, hashes }: { taken: Buffer; range: Range; hashes: Buffer }): Promise<void> {
    this.#note(hashes, range, (problem) => new BackupDamaged(`${problem}, as they were taken over`))
    if (taken.length !== range.length)
      throw incomplete(`A frame of ${taken.length} bytes was taken for one of ${range.length} bytes`)
    this.size.plain += await plainBytesOf(taken)
    await written(this.stored, taken)
    this.ranges.push(range)
  }

  #note(
    hashes: Buffer,
    { rows, fingerprint }: { rows: number; fingerprint: string },
    refused: (problem: string) => Error = incomplete,
  ): void {
    if (hashes.length !== 8 * rows || sumOfHashes(hashes).toString() !== fingerprint)
      throw refused(`The hashes of ${rows} rows do not add up to their fingerprint ${fingerprint}`)
    this.#rows += rows
    if (this.ranges.length === sidecarBounds.ranges || this.#rows > sidecarBounds.rows)
      throw incomplete(
        `A part would have ${this.#rows} rows in more than ${this.ranges.length} ranges, which is more than is read`,
      )
    this.hashes.add(hashes)
  }
}

function incomplete(problem: string): BackupIncomplete {
  return new BackupIncomplete(`${problem}. Nothing was wiped; start again, and report it`)
}

/** What a frame of another part decompresses to. */
async function plainBytesOf(frame: Buffer): Promise<number> {
  try {
    const walk = new FrameWalk()
    const { to, isEnd } = walk.advance(frame, 0)
    if (!isEnd || to !== frame.length) throw new Error('its frames end elsewhere')
    if (walk.content !== undefined) return walk.content
    let bytes = 0
    for await (const plain of decompressFrames(once(frame))) bytes += plain.length
    return bytes
  } catch (cause) {
    throw new BackupDamaged(`A part's ranges are not those that it is made of: ${messageOf(cause)}`, {
      cause,
    })
  }
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes
}
