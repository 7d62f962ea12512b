/**
 * Control, escape and format characters, which a terminal or a viewer of logs would obey instead of showing: among them
 * those that turn the direction of text, and the tags, which are not seen at all. Line ends and tabs are not names' own, and stay.
 */
const invisible =
  /(?![\n\t])[\p{Cc}\p{Cs}\u00ad\u061c\u115f\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{1bca0}-\u{1bca3}\u{1d173}-\u{1d17a}\u{e0000}-\u{e007f}]/gu

/**
 * The text with each such character as its escape (`\u202e`), which in JSON means the same character: to be called at the
 * edge, where a text is written for people.
 */
export function visible(text: string): string {
  return text.replace(invisible, escapeOf)
}

/** The same for one name among others in a line: a line end of its own would begin another line. */
export function visibleName(text: string): string {
  return visible(text).replace(/[\n\t]/g, escapeOf)
}

/** One above U+FFFF has two, as in JSON. */
function escapeOf(character: string): string {
  return character
    .split('')
    .map((half) => `\\u${half.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .join('')
}

/** The beginning of `text` that has at most `maxBytes` as JSON, which may need six for one, and where the rest is. */
export function cut(text: string, maxBytes: number, rest: string): string {
  let bytes = 0
  let end = 0
  for (const character of text) {
    bytes += sizeOf(character) - 2
    if (bytes > maxBytes) return `${text.slice(0, end)}… (shortened; ${rest})`
    end += character.length
  }
  return text
}

/** Its bytes as JSON. */
export function sizeOf(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value))
}
