/** Of a hash of a row, a big-endian int8. */
const hashBytes = 8

/** So many numbers of 32 bits add up without a loss in one of 53. */
const exactly = 2 ** 20

/** The sum of hashes, which is their rows' fingerprint. In halves: a bigint for each would take ten times as long. */
export function sumOfHashes(hashes: Buffer): bigint {
  let sum = 0n
  for (let from = 0; from < hashes.length; from += hashBytes * exactly) {
    const to = Math.min(from + hashBytes * exactly, hashes.length)
    let [high, low] = [0, 0]
    for (let at = from; at < to; at += hashBytes) {
      high += hashes.readInt32BE(at)
      low += hashes.readUInt32BE(at + 4)
    }
    sum += (BigInt(high) << 32n) + BigInt(low)
  }
  return sum
}

/** In bytes: so much room is made at a time, and sent at once. */
const block = 256 * 1024

/** The hashes of a part's rows as they come. In blocks: a room that grows would be there twice whenever it does. */
export class HashStore {
  readonly #blocks: Buffer[] = []
  #free = 0

  add(hashes: Buffer): void {
    for (let at = 0; at < hashes.length; ) {
      if (this.#free === 0) {
        this.#blocks.push(Buffer.allocUnsafeSlow(block))
        this.#free = block
      }
      const copied = hashes.copy(this.#blocks.at(-1) as Buffer, block - this.#free, at)
      this.#free -= copied
      at += copied
    }
  }

  *[Symbol.iterator](): Generator<Buffer> {
    for (const [index, bytes] of this.#blocks.entries())
      yield index === this.#blocks.length - 1 ? bytes.subarray(0, block - this.#free) : bytes
  }
}
