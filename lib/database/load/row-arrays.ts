/**
 * Bytes of rows that one statement gets, or a row that is larger. More costs the server more for each of them: what it
 * holds of a statement has to stay in its caches, and below its work_mem.
 */
const arrayBytes = 2 ** 20

const [lineEnd, comma] = [0x0a, 0x2c]
const [opening, closing] = [Buffer.from('['), Buffer.from(']')]

/**
 * The lines of a part as JSON arrays, each in pieces. Nothing is copied: what lies between two rows is changed in the
 * chunks themselves. A line end is nowhere else, for within a row's JSON it is escaped.
 */
export async function* rowArrays(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer[]> {
  let pieces: Buffer[] = []
  let bytes = 0
  for await (const chunk of chunks) {
    const end = bytes + chunk.length < arrayBytes ? -1 : chunk.lastIndexOf(lineEnd)
    const rest = chunk.subarray(end + 1)
    if (end !== -1) {
      yield arrayOf([...pieces, chunk.subarray(0, end)])
      pieces = []
      bytes = 0
    }
    if (rest.length > 0) pieces.push(rest)
    bytes += rest.length
  }
  const last = pieces.pop()
  if (last !== undefined) yield arrayOf([...pieces, last.at(-1) === lineEnd ? last.subarray(0, -1) : last])
}

function arrayOf(lines: Buffer[]): Buffer[] {
  for (const piece of lines) {
    for (let at = piece.indexOf(lineEnd); at !== -1; at = piece.indexOf(lineEnd, at + 1)) piece[at] = comma
  }
  return [opening, ...lines, closing]
}
