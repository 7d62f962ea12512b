import * as z from 'zod'
import type { CopiedFile } from '../../backup/sections/files.ts'

const count = z.number().int().nonnegative()

/**
 * `restored-files-<batch>`: what became of one batch. `objects`, `bytes`: copied back. `unchanged`, `unchangedBytes`: they were
 * as in the backup already, be it by an earlier try of this step. `extra`: not in the backup, and there; `deleted`: not in the
 * backup, and gone. `changedMeanwhile`: left as they are, because the run's own backup does not hold the version that
 * would have been lost; `changed` names 20. `failures`: S3 did not do what it said; `failed` names 20 with its code.
 */
export const FilesRestored = z.strictObject({
  batch: count,
  objects: count,
  bytes: count,
  unchanged: count,
  unchangedBytes: count,
  extra: count,
  deleted: count,
  changedMeanwhile: count,
  changed: z.array(z.string()),
  failures: count,
  failed: z.array(z.strictObject({ key: z.string(), code: z.string() })),
})
export type FilesRestored = z.output<typeof FilesRestored>

const keysNamed = 20

/** Adds up what becomes of the objects of one batch. */
export class RestoreTally {
  readonly result: FilesRestored

  constructor(batch: number) {
    const counts = { objects: 0, bytes: 0, unchanged: 0, unchangedBytes: 0, extra: 0, deleted: 0 }
    this.result = { batch, ...counts, changedMeanwhile: 0, changed: [], failures: 0, failed: [] }
  }

  restored({ size }: CopiedFile): void {
    this.result.objects++
    this.result.bytes += size
  }

  unchanged({ size }: CopiedFile): void {
    this.result.unchanged++
    this.result.unchangedBytes += size
  }

  leftAlone(key: string): void {
    this.result.changedMeanwhile++
    if (this.result.changed.length < keysNamed) this.result.changed.push(key)
  }

  failed(key: string, code: string): void {
    this.result.failures++
    if (this.result.failed.length < keysNamed) this.result.failed.push({ key, code })
  }
}
