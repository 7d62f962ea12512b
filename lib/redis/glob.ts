/** One place of a pattern: bytes that match there (a table of 256), or any number of any bytes. */
type GlobToken = 'any' | Uint8Array

const code = (character: string) => character.charCodeAt(0)
const [STAR, QUESTION, OPEN, CLOSE, BACKSLASH, CARET, DASH] = ['*', '?', '[', ']', '\\', '^', '-'].map(code)

/**
 * A glob as Redis understands it in SCAN MATCH and KEYS (`stringmatchlen` in its util.c): `*`, `?`, `[a-c]`, `[^a]` and
 * backslash, on bytes, with the whole key to be matched. A range that ends beyond ASCII is by unsigned bytes here, and in
 * Redis by what its compiler takes for a `char`. Time: at most key times pattern, for any pattern.
 */
export function globMatcher(pattern: string): (key: Buffer) => boolean {
  const tokens = parse(Buffer.from(pattern))
  return (key) => {
    let at = 0
    let position = 0
    let star = -1 // the last "any" passed, and where its match ends so far
    let resume = 0
    while (position < key.length) {
      const token = tokens[at]
      if (token === 'any') {
        star = at++
        resume = position
      } else if (token?.[key[position] as number] === 1) {
        at++
        position++
      } else if (star >= 0) {
        at = star + 1
        position = ++resume
      } else return false
    }
    while (tokens[at] === 'any') at++
    return at === tokens.length
  }
}

/** A text as a pattern that matches only itself. */
export function escapeGlob(text: string): string {
  return text.replace(/[*?[\\]/g, '\\$&')
}

function parse(pattern: Buffer): GlobToken[] {
  const tokens: GlobToken[] = []
  for (let at = 0; at < pattern.length; at++) {
    const byte = pattern[at]
    if (byte === STAR) tokens.push('any')
    else if (byte === QUESTION) tokens.push(new Uint8Array(256).fill(1))
    else if (byte === OPEN) {
      const [set, end] = parseSet(pattern, at + 1)
      tokens.push(set)
      at = end
    } else {
      if (byte === BACKSLASH && at + 1 < pattern.length) at++
      tokens.push(setOf(pattern[at]))
    }
  }
  return tokens
}

/** The set after a "[", and where it ends: at its "]", or at the pattern's end, which Redis takes for one. */
function parseSet(pattern: Buffer, start: number): [Uint8Array, number] {
  const set = new Uint8Array(256)
  const negated = pattern[start] === CARET
  let at = negated ? start + 1 : start
  for (; at < pattern.length && pattern[at] !== CLOSE; at++) {
    const left = pattern.length - at
    if (pattern[at] === BACKSLASH && left >= 2) set[pattern[++at] as number] = 1
    else if (left >= 3 && pattern[at + 1] === DASH) {
      const ends = [pattern[at] as number, pattern[at + 2] as number] as const
      set.fill(1, Math.min(...ends), Math.max(...ends) + 1)
      at += 2
    } else set[pattern[at] as number] = 1
  }
  return [negated ? set.map((matches) => 1 - matches) : set, Math.min(at, pattern.length)]
}

function setOf(byte: number | undefined): Uint8Array {
  const set = new Uint8Array(256)
  if (byte !== undefined) set[byte] = 1
  return set
}
