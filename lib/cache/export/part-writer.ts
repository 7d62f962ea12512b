import type * as z from 'zod'
import { writePart } from '../../backup/part/write.ts'
import type { CachePart } from '../../backup/sections/cache.ts'
import { BackupIncomplete } from '../../errors.ts'
import type { Bucket } from '../../s3/bucket.ts'
import type { KeyLine } from '../value/read.ts'

/** Bytes handed to the compression at once; single lines would cost more than they weigh. */
const chunkBytes = 256 * 2 ** 10

/**
 * Collects lines and writes a part whenever `partBytes` (uncompressed) are together. They stay in memory until the part
 * was read back, because a part whose key turns out to be taken is written once more.
 */
export class PartWriter {
  readonly parts: z.output<typeof CachePart>[] = []
  readonly #bucket: Bucket
  readonly #keyOf: (part: number, copy: number) => string
  readonly #partBytes: number
  #lines: Buffer[] = []
  #bytes = 0
  #keys = 0

  constructor(
    bucket: Bucket,
    { keyOf, partBytes }: { keyOf: (part: number, copy: number) => string; partBytes: number },
  ) {
    this.#bucket = bucket
    this.#keyOf = keyOf
    this.#partBytes = partBytes
  }

  async add({ line, begins }: KeyLine): Promise<void> {
    if (this.#bytes > 0 && this.#bytes + line.length > this.#partBytes) await this.end()
    this.#lines.push(line)
    this.#bytes += line.length
    if (begins) this.#keys++
  }

  /** Writes what is left. */
  async end(): Promise<void> {
    if (this.#lines.length === 0) return
    const lines = this.#lines
    const number = this.parts.length
    const written = await writePart(
      this.#bucket,
      (copy) => this.#keyOf(number, copy),
      async function* () {
        yield* chunksOf(lines)
      },
    )
    if (written === null)
      throw new BackupIncomplete(`Part ${number} of the cache was not written. Start again`)
    this.parts.push({ ...written, keys: this.#keys })
    this.#lines = []
    this.#bytes = 0
    this.#keys = 0
  }
}

function* chunksOf(lines: readonly Buffer[]): Generator<Buffer> {
  let chunk: Buffer[] = []
  let bytes = 0
  for (const line of lines) {
    chunk.push(line)
    bytes += line.length
    if (bytes < chunkBytes) continue
    yield Buffer.concat(chunk)
    chunk = []
    bytes = 0
  }
  if (chunk.length > 0) yield Buffer.concat(chunk)
}
