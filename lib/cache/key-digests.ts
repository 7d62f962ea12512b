import { hashOfKey } from './key-set.ts'

const [initialSlots, initialSlotsMost] = [2 ** 10, 2 ** 20]

/** In place of a digest: the key was dealt with, and what it holds now came later. */
export const dealtWith = 'ffffffffffffffff'

/** A table with room for some entries of 16 bytes: the key, of which the second number is 0 in a slot that is free, and its digest. */
type Slots = { words: Uint32Array; bytes: Buffer }

/**
 * The value digest of each key, both in 64 bits (the key by its SHA-256). Memory: 21 to 43 bytes per key, half as much
 * again for the moment in which it grows, so at most 64 MB for a million keys. That two of n keys share their 64 bits has a
 * probability of n²/2⁶⁵, and then one of them is taken for changed.
 */
export class KeyDigests {
  #slots: Slots
  #size = 0

  /** @param expected how many keys there will be, so that it need not grow to the first million */
  constructor(expected = 0) {
    let slots = initialSlots
    while (slots * 3 < expected * 4 && slots < initialSlotsMost) slots *= 2
    this.#slots = slotsFor(slots)
  }

  get size(): number {
    return this.#size
  }

  /** @param digest 16 hexadecimal digits. @returns false when the key had one before, which is replaced */
  set(key: Buffer, digest: string): boolean {
    const [low, high] = hashOfKey(key)
    const isNew = put(this.#slots, low, high || 1, digest)
    if (isNew && ++this.#size * 16 > this.#slots.words.length * 3) this.#grow()
    return isNew
  }

  /** The digest that was set last; undefined when there is none. */
  get(key: Buffer): string | undefined {
    const { words, bytes } = this.#slots
    const [low, high] = hashOfKey(key)
    const at = find(words, low, high || 1)
    return words[at + 1] === 0 ? undefined : bytes.toString('hex', 4 * at + 8, 4 * at + 16)
  }

  /** The entries and the free slots, as they lie. */
  get words(): Uint32Array {
    return this.#slots.words
  }

  #grow(): void {
    const { words } = this.#slots
    const larger = slotsFor(words.length / 2)
    for (let at = 0; at < words.length; at += 4) {
      const high = words[at + 1] as number
      if (high === 0) continue
      const place = find(larger.words, words[at] as number, high)
      larger.words.set(words.subarray(at, at + 4), place)
    }
    this.#slots = larger
  }
}

/** How many keys both have with another digest, and how many only one of them has. */
export function compareDigests(
  before: KeyDigests,
  after: KeyDigests,
): { extra: number; missing: number; changed: number } {
  let [found, changed] = [0, 0]
  const [then, now] = [before.words, after.words]
  for (let at = 0; at < then.length; at += 4) {
    const high = then[at + 1] as number
    if (high === 0) continue
    const place = find(now, then[at] as number, high)
    if (now[place + 1] === 0) continue
    found++
    if (then[at + 2] !== now[place + 2] || then[at + 3] !== now[place + 3]) changed++
  }
  return { extra: after.size - found, missing: before.size - found, changed }
}

function slotsFor(count: number): Slots {
  const words = new Uint32Array(4 * count)
  return { words, bytes: Buffer.from(words.buffer) }
}

/** Where a key's entry is, or has its place. */
function find(words: Uint32Array, low: number, high: number): number {
  const mask = words.length / 4 - 1
  for (let slot = low & mask; ; slot = (slot + 1) & mask) {
    const at = 4 * slot
    if (words[at + 1] === 0 || (words[at] === low && words[at + 1] === high)) return at
  }
}

function put({ words, bytes }: Slots, low: number, high: number, digest: string): boolean {
  const at = find(words, low, high)
  const isNew = words[at + 1] === 0
  words[at] = low
  words[at + 1] = high
  bytes.write(digest, 4 * at + 8, 8, 'hex')
  return isNew
}
