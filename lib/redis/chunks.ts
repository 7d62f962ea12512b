/** Bytes of the names of keys in one script. */
const bytesAtOnce = 2 ** 20

/** Keys in the pieces that one script each takes: of `most` keys. */
export function chunksOf(keys: readonly Buffer[], most: number): Buffer[][] {
  const chunks: Buffer[][] = []
  let bytes = 0
  for (const key of keys) {
    const last = chunks.at(-1)
    bytes += key.length
    if (last !== undefined && last.length < most && bytes <= bytesAtOnce) last.push(key)
    else {
      chunks.push([key])
      bytes = key.length
    }
  }
  return chunks
}
