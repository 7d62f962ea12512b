import { hash } from 'node:crypto'

const initialSlots = 1024

/**
 * Which keys were there before, by 64 bits of their SHA-256: SCAN may return a key more than once. Memory: 11 to 22 bytes
 * per key, half as much again for the moment in which it grows, whatever the keys' length. That two of n keys share
 * their 64 bits, so that one is taken for a repetition, has a probability of n²/2⁶⁵: 3 in 10⁸ for a million keys.
 */
export class KeySet {
  #slots = new Uint32Array(2 * initialSlots)
  #size = 0

  get size(): number {
    return this.#size
  }

  /** Adds a key; false when it was there before. */
  add(key: Buffer): boolean {
    const digest = hash('sha256', key, 'hex')
    const low = Number.parseInt(digest.slice(0, 8), 16)
    const high = Number.parseInt(digest.slice(8, 16), 16) || 1 // a slot with high 0 is free
    if (!this.#put(this.#slots, low, high)) return false
    if (++this.#size * 8 > this.#slots.length * 3) this.#grow()
    return true
  }

  #put(slots: Uint32Array, low: number, high: number): boolean {
    const mask = slots.length / 2 - 1
    for (let slot = low & mask; ; slot = (slot + 1) & mask) {
      if (slots[2 * slot + 1] === 0) {
        slots[2 * slot] = low
        slots[2 * slot + 1] = high
        return true
      }
      if (slots[2 * slot] === low && slots[2 * slot + 1] === high) return false
    }
  }

  #grow(): void {
    const larger = new Uint32Array(this.#slots.length * 2)
    for (let at = 0; at < this.#slots.length; at += 2) {
      const [low = 0, high = 0] = this.#slots.subarray(at, at + 2)
      if (high !== 0) this.#put(larger, low, high)
    }
    this.#slots = larger
  }
}
