/** Text from a bucket is more than its reader takes. The message says by how much; the caller names the object. */
export class TooMuch extends Error {
  override readonly name = 'TooMuch'
}

/** What a document may hold: bytes, values (of any kind, at any depth), members of one object, and levels of arrays and objects. */
export type DocumentBounds = { bytes: number; values: number; members: number; depth: number }

/**
 * Of manifests, late files, plans and results. 16 MiB of manifest are 30,000 parts, which are 2 TB of tables; a million
 * values take some 60 MiB once they are parsed, but for 400,000 names in one object it takes a second; of ours an object has at most
 * a member for each table, of which 16 MiB hold 50,000. The deepest document of ours has eight levels.
 * @see docs/decisions.md#what-is-read-whole-has-bounds
 */
export const documentBounds: DocumentBounds = {
  bytes: 16 * 2 ** 20,
  values: 1_000_000,
  members: 50_000,
  depth: 32,
}

/** Of one line of a cache part: before elements were counted with their quotation marks, 2^20 of one byte were one. */
export const lineBounds: DocumentBounds = { ...documentBounds, values: 2_000_000 }

/** Of marks and pins, which are one line. */
export const noteBounds: DocumentBounds = { bytes: 64 * 2 ** 10, values: 1_000, members: 100, depth: 32 }

/**
 * Parses JSON that somebody else may have written. Depth and values are counted before anything is made of the text:
 * what is nested 5,000 deep would end the stack of whoever walks it, and `[[],[],…]` takes twenty times its bytes.
 * @throws TooMuch, SyntaxError
 */
export function parseJson(text: string, bounds: DocumentBounds): unknown {
  checkShape(text, bounds)
  return JSON.parse(text)
}

/** @throws TooMuch */
export function checkShape(text: string, { values, members, depth }: Omit<DocumentBounds, 'bytes'>): void {
  let [level, count, inString] = [0, 1, false]
  /** Commas so far, at each level of objects; elements of an array are values only. */
  const commas: number[] = [-Infinity]
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (inString) {
      if (code === backslash) at++
      else if (code === quotationMark) inString = false
    } else if (code === quotationMark) inString = true
    else if (code === openBracket || code === openBrace) {
      count++
      if (++level > depth) throw new TooMuch(`it is nested more than ${depth} levels deep`)
      commas[level] = code === openBrace ? 0 : -Infinity
    } else if (code === closeBracket || code === closeBrace) level--
    else if (code === comma) {
      if (++count > values) throw new TooMuch(`it holds more than ${values} values`)
      const before = (commas[level] ?? 0) + 1
      commas[level] = before
      if (before >= members) throw new TooMuch(`it holds more than ${members} members in one object`)
    }
  }
}

const quotationMark = 0x22
const comma = 0x2c
const openBracket = 0x5b
const backslash = 0x5c
const closeBracket = 0x5d
const openBrace = 0x7b
const closeBrace = 0x7d
