const codes = { red: 31, green: 32, yellow: 33 }
type Stream = { hasColors?: () => boolean }

/**
 * Coloured where the stream is a terminal that has colours, and nobody asked for none (`NO_COLOR`): Node's `hasColors` asks for
 * all of it. No colour says anything that the words do not.
 */
export function coloured(text: string, colour: keyof typeof codes, stream: Stream): string {
  return (stream.hasColors?.() ?? false) ? `\u001b[${codes[colour]}m${text}\u001b[39m` : text
}

/** The names of errors and warnings, where these begin a line. To be called behind what shows a terminal's own characters. */
export function colouredNames(text: string, stream: Stream): string {
  return text
    .replace(/^Warning \w+:/gm, (name) => coloured(name, 'yellow', stream))
    .replace(/^[A-Z][a-z]+(?:[A-Z][a-z]+)+:/gm, (name) => coloured(name, 'red', stream))
}
