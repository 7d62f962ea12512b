import { putLinesOnce } from '../backup/documents/write-once.ts'
import type { Bucket } from '../s3/bucket.ts'

/** What one piece of a listing holds at most; and how many batches a Map of the state machine is given at most. */
export const pieceLimits = {
  objects: 5_000,
  /** An invocation ends after 15 minutes; S3 copies this much in well under that. */
  bytes: 256 * 2 ** 30,
  batches: 1_000,
}

/** How files were cut: into `lists` pieces, of which each of the `batches` takes `listsPerBatch`. */
export type Cut = { lists: number; listsPerBatch: number; batches: number }

/** Cuts files that come in the order of their keys into pieces, and writes each as a work list, once. Memory: one piece. */
export class WorkLists<File extends { size: number }> {
  readonly #work: Bucket
  /** null: they are only counted. */
  readonly #keyOf: ((list: number) => string) | null
  readonly #limits: typeof pieceLimits
  #piece: File[] = []
  #bytes = 0
  #lists = 0

  constructor(
    work: Bucket,
    { keyOf, limits }: { keyOf: ((list: number) => string) | null; limits: typeof pieceLimits },
  ) {
    this.#work = work
    this.#keyOf = keyOf
    this.#limits = limits
  }

  async add(file: File): Promise<void> {
    const { bytes, objects } = this.#limits
    if (this.#bytes + file.size > bytes) await this.#close()
    this.#piece.push(file)
    this.#bytes += file.size
    if (this.#piece.length >= objects) await this.#close()
  }

  /** Writes what is left. */
  async end(): Promise<Cut> {
    await this.#close()
    const lists = this.#lists
    const listsPerBatch = Math.max(1, Math.ceil(lists / this.#limits.batches))
    return { lists, listsPerBatch, batches: Math.ceil(lists / listsPerBatch) }
  }

  async #close(): Promise<void> {
    if (this.#piece.length === 0) return
    if (this.#keyOf !== null) await putLinesOnce(this.#work, this.#keyOf(this.#lists), this.#piece)
    this.#lists++
    this.#piece = []
    this.#bytes = 0
  }
}
