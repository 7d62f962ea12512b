import { constants, createZstdCompress, type ZstdOptions } from 'node:zlib'
import { FrameWalk } from './frame-walk.ts'
import { chunkSize } from './frames.ts'

/**
 * Compresses what it is given into frames, one after the other and beside the main thread. They share a context: to make one
 * for each takes as long as the compression does.
 */
export class FramePacker {
  readonly #packer: ReturnType<typeof createZstdCompress>
  #made: Buffer[] = []

  constructor(params: NonNullable<ZstdOptions['params']>, size = chunkSize) {
    this.#packer = createZstdCompress({ chunkSize: size, params, flush: constants.ZSTD_e_end })
    this.#packer.on('data', (chunk: Buffer) => this.#made.push(chunk))
    this.#packer.on('error', () => {}) // whoever waits for a frame is told
  }

  /** The frame, which says how much it holds; until then the bytes are needed. One at a time, and not of nothing. */
  async pack(plain: Buffer): Promise<Buffer> {
    await new Promise<void>((resolve, reject) => {
      this.#packer.write(plain, (error) => (error ? reject(error) : resolve()))
    })
    const made = Buffer.concat(this.#made)
    this.#made = []
    // Where it fills Node's chunk to the last byte, Node asks for more, and an empty frame comes.
    return made.subarray(0, new FrameWalk().advance(made, 0).to)
  }

  close(): void {
    this.#packer.destroy()
  }
}
