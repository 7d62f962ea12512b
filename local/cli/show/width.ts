/** With less, what belongs together would be torn apart anyway. */
const least = 60

/** How many columns a line on stdout may have: a terminal's; a file, or another program, takes any. */
export function terminalWidth(
  { isTTY, columns }: { isTTY?: boolean; columns?: number } = process.stdout,
): number {
  return isTTY ? Math.max(least, columns || 80) : Number.POSITIVE_INFINITY
}

/** The text in lines of at most so many characters, broken between words; a word that is longer stays whole. */
export function wrapped(text: string, width: number): string[] {
  if (text.length <= width) return [text]
  const lines: string[] = []
  let line = /^ */.exec(text)?.[0] ?? ''
  for (const word of text.trimStart().split(' ')) {
    if (line.trim() !== '' && line.length + 1 + word.length > width) {
      lines.push(line)
      line = word
    } else line += (line.trim() === '' ? '' : ' ') + word
  }
  return [...lines, line]
}

/** Words, each with what it means beside it, or below where it is too long. */
export function explained(rows: readonly (readonly [string, string])[], width = terminalWidth()): string {
  const column = Math.min(30, Math.max(...rows.map(([word]) => word.length)) + 2)
  return rows
    .flatMap(([word, says]) => {
      const [first = '', ...others] = wrapped(says, width - column - 2)
      const beside =
        word.length + 2 > column ? [word, ' '.repeat(column) + first] : [word.padEnd(column) + first]
      return [...beside, ...others.map((line) => ' '.repeat(column) + line)]
    })
    .map((line) => `  ${line}`)
    .join('\n')
}
