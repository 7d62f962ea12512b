import { KeyDigests } from '../key-digests.ts'
import { KeySet } from '../key-set.ts'

/**
 * Keys that a backup holds more than once, because they changed between their export and the wipe: only what was written
 * last counts. Memory: about 20 bytes per key, and 40 more for each that is there again.
 */
export class Repetitions {
  readonly #seen = new KeySet()
  /** How often a key that is there again comes, as digits of a digest. */
  readonly #times = new KeyDigests()

  /** Notes that a key begins here; to be called for all of them, in order, before the first question. */
  note(key: Buffer): void {
    if (!this.#seen.add(key)) this.#set(key, (this.#of(key) ?? 1) + 1)
  }

  /** Whether the key comes again after this place; to be asked once for each place, in order. */
  comesAgain(key: Buffer): boolean {
    const times = this.#of(key) ?? 1
    if (times > 1) this.#set(key, times - 1)
    return times > 1
  }

  #of(key: Buffer): number | undefined {
    const times = this.#times.get(key)
    return times === undefined ? undefined : Number.parseInt(times, 16)
  }

  #set(key: Buffer, times: number): void {
    this.#times.set(key, times.toString(16).padStart(16, '0'))
  }
}
