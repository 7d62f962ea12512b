import { hash } from 'node:crypto'

const initialSlots = 1024

/** In place of a digest: the key was dealt with, and what it holds now came later. */
export const dealtWith = 'ffffffffffffffff'

/**
 * The value digest of each key, both in 64 bits (the key by its SHA-256). Memory: 21 to 43 bytes per key, half as much
 * again for the moment in which it grows, so at most 64 MB for a million keys. That two of n keys share their 64 bits has a
 * probability of n²/2⁶⁵, and then one of them is taken for changed.
 */
export class KeyDigests {
  #slots = new Uint32Array(4 * initialSlots)
  #size = 0

  get size(): number {
    return this.#size
  }

  /** @param digest 16 hexadecimal digits. @returns false when the key had one before, which is replaced */
  set(key: Buffer, digest: string): boolean {
    const entry = [...halvesOf(hash('sha256', key, 'hex')), ...halvesOf(digest, 0)] as Entry
    if (!put(this.#slots, entry)) return false
    if (++this.#size * 16 > this.#slots.length * 3) this.#grow()
    return true
  }

  /** The digest that was set last; undefined when there is none. */
  get(key: Buffer): string | undefined {
    const at = find(this.#slots, halvesOf(hash('sha256', key, 'hex')))
    if (this.#slots[at + 1] === 0) return undefined
    const [low = 0, high = 0] = this.#slots.subarray(at + 2, at + 4)
    return hex(low) + hex(high)
  }

  #grow(): void {
    const larger = new Uint32Array(this.#slots.length * 2)
    for (let at = 0; at < this.#slots.length; at += 4) {
      if (this.#slots[at + 1] !== 0) put(larger, [...this.#slots.subarray(at, at + 4)] as unknown as Entry)
    }
    this.#slots = larger
  }
}

type Entry = [low: number, high: number, digestLow: number, digestHigh: number]

/** Where a key's entry is, or has its place. */
function find(slots: Uint32Array, [low, high]: readonly [number, number, ...number[]]): number {
  const mask = slots.length / 4 - 1
  for (let slot = low & mask; ; slot = (slot + 1) & mask) {
    const at = 4 * slot
    if (slots[at + 1] === 0 || (slots[at] === low && slots[at + 1] === high)) return at
  }
}

function put(slots: Uint32Array, entry: Entry): boolean {
  const at = find(slots, entry)
  const isNew = slots[at + 1] === 0
  slots.set(entry, at)
  return isNew
}

/** A slot whose second number is 0 is free, so that of a key never is. */
function halvesOf(digest: string, least = 1): [number, number] {
  return [Number.parseInt(digest.slice(0, 8), 16), Number.parseInt(digest.slice(8, 16), 16) || least]
}

function hex(number: number): string {
  return number.toString(16).padStart(8, '0')
}
