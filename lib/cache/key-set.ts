import { hash, randomBytes } from 'node:crypto'

const initialSlots = 1024

/** What is hashed: random bytes of this process, and a key behind them. Whoever writes keys cannot look for two with one hash. */
const salted = Buffer.alloc(1024)
const saltBytes = 16
randomBytes(saltBytes).copy(salted)

/**
 * Which keys were there before, by 64 bits of a SHA-256 that begins with a secret: SCAN may return a key more than once.
 * Memory: 11 to 22 bytes per key, half as much again for the moment in which it grows, whatever the keys' length. That two of n keys share
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
    const [low, high] = hashOfKey(key)
    if (!this.#put(this.#slots, low, high || 1)) return false // a slot with high 0 is free
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
      const high = this.#slots[at + 1] as number
      if (high !== 0) this.#put(larger, this.#slots[at] as number, high)
    }
    this.#slots = larger
  }
}

/** Longer ones are hashed. */
const shortBytes = 128

/** The same for some ten thousand keys, which it keeps as they are: to hash one takes four times as long. */
export class SmallKeySet {
  readonly #short = new Set<string>()
  readonly #long = new KeySet()

  get size(): number {
    return this.#short.size + this.#long.size
  }

  /** Adds a key; false when it was there before. */
  add(key: Buffer): boolean {
    if (key.length > shortBytes) return this.#long.add(key)
    const before = this.#short.size
    return this.#short.add(key.toString('latin1')).size > before
  }
}

/**
 * 64 bits of a key, as two numbers, which are others in each process; read from a text of bytes, which costs a third of reading
 * hexadecimal digits.
 */
export function hashOfKey(key: Buffer): [low: number, high: number] {
  const bytes = hash('sha256', withSalt(key), 'binary')
  return [wordAt(bytes, 0), wordAt(bytes, 4)]
}

function withSalt(key: Buffer): Buffer {
  if (saltBytes + key.length > salted.length) return Buffer.concat([salted.subarray(0, saltBytes), key])
  key.copy(salted, saltBytes)
  return salted.subarray(0, saltBytes + key.length)
}

function wordAt(bytes: string, at: number): number {
  const word =
    (bytes.charCodeAt(at) << 24) |
    (bytes.charCodeAt(at + 1) << 16) |
    (bytes.charCodeAt(at + 2) << 8) |
    bytes.charCodeAt(at + 3)
  return word >>> 0
}
