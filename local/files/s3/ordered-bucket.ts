/** The objects of a bucket by key, with their keys in S3's order at hand: a listing of many pages sorts them once. */
export class OrderedBucket<T> extends Map<string, T> {
  #keys: string[] | undefined

  override set(key: string, value: T): this {
    if (!this.has(key)) this.#keys = undefined
    return super.set(key, value)
  }

  /** All keys in order, from the first one after `after`. */
  *keysAfter(after: string): Generator<string> {
    // Deleted keys stay in the list and are passed over, so that a wipe does not sort again for each page it lists.
    if (!this.#keys || this.#keys.length > 2 * this.size + 1_000) this.#keys = inOrder(this.keys())
    const keys = this.#keys
    for (let index = firstAfter(keys, after); index < keys.length; index++) {
      const key = keys[index] as string
      if (this.has(key)) yield key
    }
  }
}

/**
 * By the bytes of UTF-8, which is not a dictionary's order, and that of JavaScript's `<` only where no character is
 * written as two code units.
 */
function inOrder(keys: Iterable<string>): string[] {
  const all = [...keys]
  if (!all.some((key) => /[\ud800-\udfff]/.test(key))) return all.sort()
  return all
    .map((key) => ({ key, bytes: Buffer.from(key) }))
    .sort((a, b) => Buffer.compare(a.bytes, b.bytes))
    .map(({ key }) => key)
}

function firstAfter(keys: string[], after: string): number {
  const bytes = Buffer.from(after)
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (Buffer.compare(Buffer.from(keys[middle] as string), bytes) > 0) high = middle
    else low = middle + 1
  }
  return low
}
