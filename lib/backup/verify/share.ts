import { namedObjects } from '../named-objects.ts'
import type { Backup } from '../read.ts'
import type { NamedPart } from './object.ts'

/** A second: bytes that one invocation reads of S3 and takes digests of, and objects however small. @see docs/scale.md */
const speeds = { bytes: 40_000_000, objects: 250 }

/** Seconds of reading that one batch is given. */
const batchSeconds = 300

/** More would outgrow a state's payload; each batch takes longer instead. */
const maxBatches = 1_000

/**
 * In how many batches the objects of a backup are read, always the same for the same backup: parts in the order of the
 * manifest, then copies in that of the files' index.
 * @see docs/decisions.md#a-verify-reads-in-batches-and-is-judged-once
 */
export function batchesToVerify(backup: Backup, seconds = batchSeconds): number {
  return Math.ceil(secondsOf(backup) / secondsOfBatch(backup, seconds))
}

/** Which objects one batch reads; each has to be asked about once, in their order. */
export class Share {
  readonly #batch: number
  readonly #batches: number
  readonly #each: number
  #passed = 0

  constructor(backup: Backup, batch: number, seconds = batchSeconds) {
    this.#batch = batch
    this.#batches = batchesToVerify(backup, seconds)
    this.#each = secondsOfBatch(backup, seconds)
  }

  holds({ bytes }: { bytes: number }): boolean {
    const batch = Math.floor(this.#passed / this.#each)
    this.#passed += secondsFor(1, bytes)
    // Sums of fractions differ by their order, so the last one may seem to come after the end.
    return this.#batch === Math.min(batch, this.#batches - 1)
  }
}

/** All but the files' index. */
export function partsOf(backup: Backup): NamedPart[] {
  return namedObjects(backup).flatMap(({ section, what, count, ...part }) =>
    section === 'files' ? [] : [{ ...part, holds: { what, count } }],
  )
}

function secondsOfBatch(backup: Backup, seconds: number): number {
  return Math.max(seconds, secondsOf(backup) / maxBatches)
}

function secondsOf(backup: Backup): number {
  const parts = partsOf(backup)
  const { objects, bytes } = backup.files ?? { objects: 0, bytes: 0 }
  return secondsFor(
    parts.length + objects,
    parts.reduce((sum, part) => sum + part.bytes, bytes),
  )
}

function secondsFor(objects: number, bytes: number): number {
  return objects / speeds.objects + bytes / speeds.bytes
}
